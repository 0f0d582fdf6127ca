"""Measures a training step against Hugging Face's ViT under Lightning and a bare torch encoder.

python benchmarks/train.py [--rounds 5] [--batch 16]

All of them are p16_h256_L6_a8 on 4096 pixels, in turns in one run, so that a busy machine is
unfair to none. Every number is one of a core: per second of processor time, which other programs
disturb less than the clock; the clock's is in brackets. Needs the `bench` dependency group.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as jobs are run
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ViTConfig, ViTModel

from vitlab.contract.networks import VitModel
from vitlab.jobs.experiment.estimate import training_flops
from vitlab.ml.network.vit import ViT
from vitlab.ml.training.task import make_loss

PIXELS, PATCH, HIDDEN, LAYERS, HEADS = 4096, 16, 256, 6, 8
MODEL = VitModel("flux", "C1D", "random", PATCH, hidden=HIDDEN, layers=LAYERS, heads=HEADS)
MODEL = replace(MODEL, mlp_ratio=4.0, pool="cls")
SIDE = 2048
STEPS = 2
Rate = tuple[float, float]
"""Per second of processor time, per second of the clock."""


class HuggingFace(nn.Module):
    """`ViTModel` on an image one pixel high, and a linear head on [CLS]."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        config = ViTConfig(
            image_size=(1, PIXELS),
            patch_size=(1, PATCH),
            num_channels=1,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * HIDDEN,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        self.vit, self.head = ViTModel(config, add_pooling_layer=False), nn.Linear(HIDDEN, 1)

    def forward(self, spectra: Tensor) -> Tensor:
        states = self.vit(pixel_values=spectra[:, None, None]).last_hidden_state
        labels: Tensor = self.head(states[:, 0])
        return labels


class Bare(nn.Module):
    """`nn.TransformerEncoder`, pre-norm, with the least around it."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            HIDDEN, HEADS, 4 * HIDDEN, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.tokens, self.head = nn.Linear(PATCH, HIDDEN), nn.Linear(HIDDEN, 1)

    def forward(self, spectra: Tensor) -> Tensor:
        labels: Tensor = self.head(self.encoder(self.tokens(spectra.unfold(1, PATCH, PATCH)))[:, 0])
        return labels


class Module(lightning.LightningModule):
    """The least a network needs to be trained by Lightning."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        return functional.mse_loss(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-4)


class Clock(lightning.Callback):
    """Notes both clocks after each step."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.marks.append((time.process_time(), time.perf_counter()))


def ours(dropout: float) -> nn.Module:
    return ViT(replace(MODEL, dropout=dropout), PIXELS, 1)


def by_lightning(network: nn.Module, bf16: bool, data: tuple[Tensor, Tensor]) -> Rate:
    clock = Clock()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=STEPS + 1,
        precision="bf16-mixed" if bf16 else "32-true",
        callbacks=[clock],
        logger=False,
        gradient_clip_val=0.5,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader([data] * (STEPS + 1), batch_size=None)
    trainer.fit(Module(network), loader)
    return _rate(clock.marks, len(data[0]))


def by_hand(network: nn.Module, bf16: bool, data: tuple[Tensor, Tensor]) -> Rate:
    """The step of `vitlab.ml.train`, with nothing but the network's share of it."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    loss = make_loss("mse")
    marks = []
    network.train()
    for _ in range(STEPS + 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            predicted = network(data[0])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss(predicted.float(), data[1]))
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        marks.append((time.process_time(), time.perf_counter()))
    return _rate(marks, len(data[0]))


def _rate(marks: list[tuple[float, float]], batch: int) -> Rate:
    """Without the first step, which also pays for what is made once."""
    cpu, clock = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    return batch * (len(marks) - 1) / cpu, batch * (len(marks) - 1) / clock


def matmul(kind: torch.dtype) -> Rate:
    """GFLOP/s of one large square product."""
    matrix = torch.randn(SIDE, SIDE).to(kind)
    marks = []
    for _ in range(4):
        torch.mm(matrix, matrix)
        marks.append((time.process_time(), time.perf_counter()))
    cpu, clock = _rate(marks, 2 * SIDE**3)
    return cpu / 1e9, clock / 1e9


Case = Callable[[tuple[Tensor, Tensor]], Rate]


def cases() -> dict[str, Case]:
    """name, dropout, precision -> one measurement."""
    found: dict[str, Case] = {}
    for bf16, precision in ((False, "fp32"), (True, "bf16")):
        for rate in (0.1, 0.0):
            for name, make, how in (
                ("ours", ours, by_hand),
                ("HF + Lightning", HuggingFace, by_lightning),
                ("nn.TransformerEncoder", Bare, by_hand),
            ):
                work = partial(_measure, make, how, rate, bf16)
                found[f"{name}, dropout {rate}, {precision}"] = work
    return found


def _measure(make: Any, how: Any, rate: float, bf16: bool, data: tuple[Tensor, Tensor]) -> Rate:
    torch.manual_seed(0)
    measured: Rate = how(make(rate), bf16, data)
    return measured


def memory(name: str, batch: int) -> float:
    """GB at the highest of a process that takes these steps alone."""
    argv = [sys.executable, __file__, "--batch", str(batch), "--only", name]
    said = subprocess.run(argv, capture_output=True, text=True, check=True)
    return float(said.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    data = torch.randn(asked.batch, PIXELS), torch.randn(asked.batch, 1)
    if asked.only:
        cases()[asked.only](data)
        # Not ru_maxrss: that begins with what its parent had.
        status = Path("/proc/self/status").read_text()
        print(int(status.partition("VmHWM:")[2].split()[0]) / 1e6)
        return
    found: dict[str, list[Rate]] = {}
    for _ in range(asked.rounds):
        for kind, name in ((torch.float32, "fp32"), (torch.bfloat16, "bf16")):
            found.setdefault(name, []).append(matmul(kind))
        for name, work in cases().items():
            found.setdefault(name, []).append(work(data))
    report(found, asked.batch)


def report(found: dict[str, list[Rate]], batch: int) -> None:
    middle = {name: np.median(rates, axis=0) for name, rates in found.items()}
    work = training_flops(MODEL, 1, PIXELS) / 1e9
    print(f"{torch.get_num_threads()} threads, batch {batch}, medians of {len(found['fp32'])}")
    for name in ("fp32", "bf16"):
        print(f"matmul {name:36} {middle[name][0]:6.1f} ({middle[name][1]:.1f}) GFLOP/s a core")
    for name in cases():
        share = middle[name] * work / middle[name[-4:]]
        print(
            f"{name:43} {middle[name][0]:6.2f} ({middle[name][1]:.2f}) spectra/s, "
            f"{share[0]:.0%} ({share[1]:.0%}) of the peak, {memory(name, batch):.2f} GB"
        )
    for rate in (0.1, 0.0):
        for other in ("HF + Lightning", "nn.TransformerEncoder"):
            for one, two in (("fp32", "fp32"), ("bf16", "bf16")):
                mine = np.array(found[f"ours, dropout {rate}, {one}"])
                ratio = np.median(mine / np.array(found[f"{other}, dropout {rate}, {two}"]), axis=0)
                print(f"ours over {other}, dropout {rate}, {one}: {ratio[0]:.2f} ({ratio[1]:.2f})")


if __name__ == "__main__":
    main()
