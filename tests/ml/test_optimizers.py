"""Optimizers, averages and schedules against torch's own and their formulas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Muon
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tests.ml.models import P16
from vitlab.contract.networks import MlpModel, TrainConfig, VitModel
from vitlab.contract.paths import UsageError
from vitlab.ml.network.layers import MLP
from vitlab.ml.network.vit import ViT
from vitlab.ml.training.optimizers import (
    Plateau,
    decay_at,
    hidden_matrices,
    learning_rate,
    make_optimizers,
    moving_average,
    set_rate,
    stable_steps,
)

TRAIN = TrainConfig(lr=1e-2, min_lr=1e-3, warmup=0.1)
MUON = replace(TRAIN, optimizer="muon")


def a_vit() -> ViT:
    torch.manual_seed(0)
    return ViT(replace(P16, hidden=16, layers=2, heads=2), 64, 1)


@pytest.mark.parametrize("train", [TRAIN, MUON])
def test_every_parameter_is_stepped_once(train: TrainConfig) -> None:
    network = a_vit()
    groups = [g for optimizer in make_optimizers(network, train) for g in optimizer.param_groups]
    stepped = [id(p) for group in groups for p in group["params"]]
    assert sorted(stepped) == sorted(id(p) for p in network.parameters())
    light = {id(p) for g in groups if g["weight_decay"] == 0 for p in g["params"]}
    names = {name for name, p in network.named_parameters() if id(p) in light}
    assert {"cls", "head.bias", "norm.weight"} <= names
    assert not any(name.endswith("attention.qkv.weight") for name in names)


DEFAULT = VitModel()


@pytest.mark.parametrize(
    ("model", "decayed", "all_numbers"),
    [
        # 4 maps of 1024 x 128; two layers of 4 * 128^2 (attention) and 2 * 128 * 256; the head
        (DEFAULT, 4 * 1024 * 128 + 2 * (4 * 128 * 128 + 2 * 128 * 256) + 128, 790_657),
        (replace(DEFAULT, tokenizer="C1D"), 1024 * 128 + 262_144 + 128, 397_057),
        (replace(DEFAULT, tokenizer="SW"), 1024 * 128 + 262_144 + 128, 397_057),
        # two more inputs of each map: mean and scatter
        (replace(DEFAULT, chunk_norm="zscore"), 4 * 1026 * 128 + 262_144 + 128, 791_681),
        # 128 features of the wavelength instead of a table for 4 tokens
        (replace(DEFAULT, positions="pipe"), 4 * 1024 * 128 + 262_144 + 128 + 16_384, 806_529),
        (replace(DEFAULT, pool="cls"), 786_560, 790_913),
        (P16, 16 * 256 + 6 * 12 * 256 * 256 + 256, 4_809_729),
        (MlpModel(), 4096 * 512 + 512 * 512 + 512, 2_360_833),
    ],
)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_all_matrices_decay_and_nothing_else(
    model: VitModel | MlpModel, decayed: int, all_numbers: int, optimizer: str
) -> None:
    network = (
        MLP(model, 4096, 1)
        if isinstance(model, MlpModel)
        else ViT(model, 4096, 1, np.geomspace(7100, 8850, 4096))
    )
    train = replace(MUON if optimizer == "muon" else TRAIN, weight_decay=0.1)
    groups = [g for one in make_optimizers(network, train) for g in one.param_groups]
    counts = {0.0: 0, 0.1: 0}
    for group in groups:
        counts[group["weight_decay"]] += sum(p.numel() for p in group["params"])
    assert (counts[0.1], sum(counts.values())) == (decayed, all_numbers)


def test_muon_turns_hidden_matrices_by_one_length_in_all_directions() -> None:
    network = a_vit()
    weight = network.get_parameter("blocks.1.attention.out.weight")
    before = weight.detach().clone()
    network(torch.randn(8, 64)).square().sum().backward()
    optimizers = make_optimizers(network, replace(MUON, weight_decay=0.0))
    set_rate(optimizers, 0.1)
    for optimizer in optimizers:
        optimizer.step()
    lengths = torch.linalg.svdvals(weight.detach() - before)
    # 0.2 sqrt(width) of the rate in each direction: the root mean square of AdamW's first step.
    assert lengths[:4].tolist() == pytest.approx([0.1 * 0.2 * 16**0.5] * 4, rel=0.35)


def test_muon_of_stacked_matrices_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights and state after some steps, one matrix without a gradient included."""
    ours, theirs = a_vit(), a_vit()
    [_, stacked] = make_optimizers(ours, MUON)
    one_by_one = Muon(
        hidden_matrices(theirs), MUON.lr, MUON.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    products: list[int] = []
    real = torch.baddbmm

    def counted(*these: Any, **how: Any) -> Any:
        products.append(len(these[0]))
        return real(*these, **how)

    monkeypatch.setattr(torch, "baddbmm", counted)
    for rate in (1e-2, 3e-3, 1e-2):
        set_rate([stacked, one_by_one], rate)
        for a, b in zip(hidden_matrices(ours), hidden_matrices(theirs), strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        hidden_matrices(ours)[3].grad = hidden_matrices(theirs)[3].grad = None
        stacked.step()
        one_by_one.step()  # type: ignore[no-untyped-call]
    for a, b in zip(hidden_matrices(ours), hidden_matrices(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)  # a step turns by 3e-2
    assert len(products) == 3 * 4 * 2 * 5  # steps, shapes, products, iterations
    assert max(products) == 2
    one_by_one.load_state_dict(stacked.state_dict())
    stacked.load_state_dict(one_by_one.state_dict())


def test_muon_takes_what_lies_between_first_and_last_layer() -> None:
    assert len(hidden_matrices(a_vit())) == 2 * 4
    network = MLP(MlpModel(hidden=(32, 16, 8)), 64, 1)
    assert [tuple(m.shape) for m in hidden_matrices(network)] == [(16, 32), (8, 16)]
    with pytest.raises(UsageError, match=r"config.train.optimizer: 'muon'.*allowed: adamw"):
        make_optimizers(MLP(MlpModel(hidden=(32,)), 64, 1), MUON)


def test_the_rate_rises_then_falls() -> None:
    rates = [learning_rate(TRAIN, 100, step, Plateau()) for step in range(100)]
    assert rates[9] == pytest.approx(TRAIN.lr)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(TRAIN.min_lr)
    middle = (TRAIN.lr + TRAIN.min_lr) / 2
    assert rates[10 + 44] == pytest.approx(middle, rel=0.02)


def test_a_constant_rate_rises_and_stays() -> None:
    train = replace(TRAIN, schedule="constant")
    rates = [learning_rate(train, 100, step, Plateau()) for step in range(100)]
    assert rates[0] == pytest.approx(TRAIN.lr / 10)
    assert set(rates[9:]) == {TRAIN.lr}


def test_a_wsd_rate_rises_stays_and_falls_by_the_root() -> None:
    """5 warm steps of an epoch of 50, 95 stable ones, 25 of decay: 1 - sqrt of the part done."""
    train = replace(TRAIN, schedule="wsd", decay=0.2)
    rates = [learning_rate(train, 125, step, Plateau(), epoch_steps=50) for step in range(125)]
    assert rates[:5] == pytest.approx([TRAIN.lr * i / 5 for i in range(1, 6)])
    assert set(rates[5:100]) == {TRAIN.lr}
    falling = [1e-3 + 9e-3 * (1 - (i / 25) ** 0.5) for i in range(1, 26)]
    assert rates[100:] == pytest.approx(falling)
    assert rates[-1] == pytest.approx(TRAIN.min_lr)
    longer = [learning_rate(train, 500, step, Plateau(), epoch_steps=50) for step in range(500)]
    assert longer[: stable_steps(train, 125)] == rates[:100]
    assert longer[: stable_steps(train, 500)] == rates[:100] + [TRAIN.lr] * 300


def test_a_wsd_rate_may_fall_from_the_start() -> None:
    train = replace(TRAIN, schedule="wsd", decay=1.0, min_lr=0.0)
    rates = [learning_rate(train, 4, step, Plateau(), epoch_steps=4) for step in range(4)]
    assert rates == pytest.approx([TRAIN.lr * (1 - (i / 4) ** 0.5) for i in range(1, 5)])


@pytest.mark.parametrize("patience", [1, 3])
def test_a_plateau_is_torchs(patience: int) -> None:
    train = replace(TRAIN, schedule="plateau", plateau_patience=patience, plateau_factor=0.3)
    theirs = SGD([nn.Parameter(torch.zeros(1))], lr=train.lr)
    # Torch waits for one more than its patience.
    scheduler = ReduceLROnPlateau(
        theirs, factor=0.3, patience=patience - 1, threshold=0.0, min_lr=train.min_lr, eps=0.0
    )
    ours, best = Plateau(), float("inf")
    for distance in [5, 4, 4, 4.5, 3, 3, 3, 3, 3, 2, 6, 6, 6, 6, 6, 6, 6, 6]:
        scheduler.step(distance)
        ours = ours.after(distance < best, train)
        best = min(best, distance)
        rate = learning_rate(train, 100, 50, ours)
        assert rate == pytest.approx(theirs.param_groups[0]["lr"])


def test_the_average_follows_the_weights() -> None:
    network = nn.Linear(2, 1)
    average = moving_average(network, 0.5)
    wanted = None
    for update in range(12):
        with torch.no_grad():
            network.weight.fill_(float(update))
        average.update_parameters(network)
        kept = decay_at(0.5, update)
        wanted = float(update) if wanted is None else kept * wanted + (1 - kept) * update
    assert wanted is not None
    assert average.module.get_parameter("weight").flatten().tolist() == pytest.approx(
        [wanted, wanted]
    )
    assert [decay_at(0.999, t) for t in (0, 10)] == [0.1, 0.55]
    assert decay_at(0.999, 10**6) == 0.999
