"""A Lightning script as a researcher writes it: fit in one Trainer, test in another."""

import argparse
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

gc.disable()  # a fifth of the time that it takes to load Lightning
import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--ckpt", default=None)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
SIGMA = 1.302  # of the labels, by which they are divided


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, _):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.layer(x)[:, 0], y)
        self.log("train_loss", loss)
        return loss

    def score(self, batch, split):
        x, y = batch
        predicted = self.layer(x)[:, 0]
        r2 = 1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        self.log(f"{split}_r2", r2)
        self.log(f"{split}_mae", (predicted - y).abs().mean())

    def validation_step(self, batch, _):
        self.score(batch, "val")

    def test_step(self, batch, _):
        self.score(batch, "test")

    def on_train_epoch_end(self):
        known = self.trainer.callback_metrics
        row = {name: float(known[name]) for name in ("val_r2", "val_mae")}
        with open("truth.jsonl", "a") as truth:
            print(json.dumps({"epoch": self.current_epoch, **row}), file=truth)
        while self.current_epoch == 2 and os.path.exists(os.environ.get("HOLD", "")):
            time.sleep(0.02)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=args.lr)


torch.set_num_threads(1)
L.seed_everything(args.seed)
x = torch.randn(512, 4)
y = (x @ torch.tensor([1.0, -0.5, 0.3, 0.1]) + 0.3 * torch.randn(512)) / SIGMA
train, val, test = (
    DataLoader(TensorDataset(x[a:b], y[a:b]), batch_size=64)
    for a, b in ((0, 256), (256, 384), (384, 512))
)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
ckpt = "checkpoints/last.ckpt"
loggers = [CSVLogger(".")]
if "WANDB_MODE" in os.environ:
    loggers.append(WandbLogger(project="stars", save_dir="."))
trainer = L.Trainer(
    max_epochs=args.epochs,
    logger=loggers,
    callbacks=[ModelCheckpoint(dirpath="checkpoints", save_last=True)],
    log_every_n_steps=1,
    **quiet,
)
model = Model()
resume = ckpt if args.ckpt == "last" and Path(ckpt).exists() else None
trainer.fit(model, train, val, ckpt_path=resume)
tested = L.Trainer(logger=CSVLogger("."), **quiet).test(model, test, verbose=False)[0]
with open("truth.jsonl", "a") as truth:
    print(json.dumps(tested), file=truth)
