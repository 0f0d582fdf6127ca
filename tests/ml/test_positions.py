"""The positions: against the papers, a slow rotation, and what each of them promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vitlab.contract.networks import FEATURES, VitModel
from vitlab.ml.network.vit import (
    Rotation,
    SinusoidalPositions,
    ViT,
    WavelengthPositions,
    wavelength_features,
)

LIGHT = 299_792.458
"""km/s."""


def test_sinusoidal_positions_start_with_the_papers_numbers() -> None:
    table = SinusoidalPositions(4, 8)(torch.zeros(1, 4, 8))[0]
    assert table[0].tolist() == [0, 1] * 4
    assert table[1, :2].tolist() == pytest.approx([0.841471, 0.540302], abs=1e-6)


def slowly_turned(vector: Tensor, place: float) -> list[float]:
    """The rotation of the paper, one pair after the other, in complex numbers."""
    d = len(vector)
    turned = [0.0] * d
    for i in range(d // 2):
        angle = place * 10_000.0 ** (-2 * i / d)
        number = complex(float(vector[i]), float(vector[i + d // 2]))
        number *= complex(math.cos(angle), math.sin(angle))
        turned[i], turned[i + d // 2] = number.real, number.imag
    return turned


@pytest.mark.parametrize("cls", [True, False])
def test_rope_is_the_slow_rotation_and_leaves_cls_alone(cls: bool) -> None:
    torch.manual_seed(0)
    places = torch.tensor([0.0, 1.0, 2.0, 2.625])
    heads = torch.randn(2, 3, 4 + cls, 6)
    turned = Rotation(places, cls, 6)(heads)
    for j, place in enumerate(places.tolist()):
        expected = slowly_turned(heads[1, 2, j + cls], place)
        assert turned[1, 2, j + cls].tolist() == pytest.approx(expected, abs=1e-5)
    if cls:
        assert torch.equal(turned[:, :, 0], heads[:, :, 0])


@given(one=st.integers(0, 500), other=st.integers(0, 500), shift=st.integers(0, 500))
def test_rope_products_depend_on_the_distance_alone(one: int, other: int, shift: int) -> None:
    generator = torch.Generator().manual_seed(one)
    q, k = torch.randn(2, 8, generator=generator)

    def product(at: int, to: int) -> float:
        turn = Rotation(torch.tensor([float(at), float(to)]), False, 8)
        turned = turn(torch.stack([q, k]))
        return float(turned[0] @ turned[1])

    assert product(one, other) == pytest.approx(product(one + shift, other + shift), abs=1e-4)


@settings(deadline=None)
@given(
    wave=st.floats(3000, 20_000),
    other=st.floats(3000, 20_000),
    velocity=st.floats(-2000, 2000),
)
def test_equal_steps_of_pipe_are_equal_velocities(
    wave: float, other: float, velocity: float
) -> None:
    """Shifted by the same velocity, any two wavelengths move by the same amount."""
    factor = 1 + velocity / LIGHT
    waves = torch.tensor([wave, wave * factor, other, other * factor], dtype=torch.float64)
    features = wavelength_features(waves)
    assert features.square().mean(dim=1).tolist() == pytest.approx([0.5] * 4)
    assert float(features[0] @ features[1]) == pytest.approx(float(features[2] @ features[3]))


def test_pipe_tells_patches_apart_and_gives_cls_none() -> None:
    centres = torch.linspace(7100, 8850, 257, dtype=torch.float64)
    positions = WavelengthPositions(centres, True, 4)
    features = positions.get_buffer("features")
    assert not features[0].any()
    likeness = features[1:] @ features[1:].T / (FEATURES / 2)
    assert likeness.diagonal().tolist() == pytest.approx([1.0] * 257)
    assert likeness.fill_diagonal_(0).max() < 0.9
    near, far = likeness.diagonal(1).mean(), likeness.diagonal(100).mean()
    assert near > 2 * far.abs()


@pytest.mark.parametrize("pixels", [64, 61])
def test_pipe_works_for_any_grid(pixels: int) -> None:
    """Logarithmic here, with and without a last patch off the stride."""
    model = VitModel(patch=8, hidden=16, layers=1, heads=2, positions="pipe", pool="mean")
    wave = np.geomspace(5000, 9000, pixels)
    network = ViT(model, pixels, 1, wave)
    features = network.positions.get_buffer("features")
    starts = [*range(0, pixels - 7, 8), pixels - 8] if pixels % 8 else range(0, pixels, 8)
    centres = [float(np.exp(np.log(wave[i : i + 8]).mean())) for i in starts]
    expected = wavelength_features(torch.tensor(centres, dtype=torch.float64))
    torch.testing.assert_close(features, expected.float())


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rope", "pipe"])
def test_all_but_none_know_the_order_of_the_patches(positions: str) -> None:
    torch.manual_seed(0)
    model = VitModel(
        tokenizer="SW",
        patch=8,
        hidden=16,
        layers=2,
        heads=2,
        pool="mean",
        positions=positions,  # type: ignore[arg-type]
    )
    network = ViT(model, 64, 1, np.linspace(7100, 8850, 64)).eval()
    for name, weight in network.named_parameters():
        if name.endswith("qkv.weight"):  # attention starts nearly even: make it look
            torch.nn.init.normal_(weight)
    spectra = torch.randn(3, 64)
    mixed = spectra.view(3, 8, 8)[:, [3, 0, 6, 1, 7, 4, 2, 5]].reshape(3, 64)
    same = torch.allclose(network(spectra), network(mixed), atol=1e-6)
    assert same == (positions == "none")
