"""A Hugging Face Trainer on a small regression: its numbers stand in trainer_state.json."""

import argparse
import json

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()


class Stars(Dataset):
    def __init__(self, n, seed):
        drawn = torch.Generator().manual_seed(seed)
        self.x = torch.randn(n, 4, generator=drawn)
        noise = 0.3 * torch.randn(n, generator=drawn)
        self.log_g = self.x @ torch.tensor([1.0, -0.5, 0.3, 0.1]) + noise

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"x": self.x[i], "labels": self.log_g[i]}


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x, labels=None):
        out = self.layer(x)[:, 0]
        return {"loss": torch.nn.functional.mse_loss(out, labels), "logits": out}


def scores(prediction):
    p, y = prediction
    return {"r2": float(1 - ((p - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())}


arguments = TrainingArguments(
    "out",
    num_train_epochs=4,
    eval_strategy="epoch",
    save_strategy="epoch",
    logging_strategy="epoch",
    report_to=[],
    use_cpu=True,
    learning_rate=0.05,
    per_device_train_batch_size=32,
    seed=args.seed,
    disable_tqdm=True,
)
trainer = Trainer(
    Model(),
    arguments,
    train_dataset=Stars(256, 0),
    eval_dataset=Stars(128, 1),
    compute_metrics=scores,
)
trainer.train()
last = trainer.evaluate()
trainer.save_state()
with open("truth.jsonl", "w") as truth:
    print(json.dumps(last), file=truth)
