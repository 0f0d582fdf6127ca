"""An offline W&B run: history, a summary set by hand, files where WANDB_DIR says."""

import argparse
import json

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=6)
args = parser.parse_args()
run = wandb.init(project="stars", settings=wandb.Settings(console="off"))
for epoch in range(args.epochs):
    r2 = 1 - 0.5 / (epoch + 1.3)
    wandb.log({"epoch": epoch, "val/r2": r2, "lr": 0.1 / (epoch + 1)})
run.summary["test_r2"] = r2 - 0.0625
with open("truth.json", "w") as truth:
    json.dump({"id": run.id, "val": r2, "test": r2 - 0.0625}, truth)
run.finish()
