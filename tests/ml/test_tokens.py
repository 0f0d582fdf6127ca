"""The tokenizers: the same map, the whole spectrum, and starts from which each of them learns."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from vitlab.contract.config import DataConfig
from vitlab.contract.networks import VitModel
from vitlab.contract.validation import ConfigError
from vitlab.ml.network.vit import (
    Conv1dTokens,
    LocalTokens,
    SlidingWindowTokens,
    ViT,
    build,
    cut,
    fit_input,
    init_weights,
    make_tokens,
    normalise_patches,
    patch_starts,
    principal_directions,
    start_principal,
)
from vitlab.ml.spectra.dataset import Spectra, open_spectra
from vitlab.ml.spectra.inputs import make_inputs

NAMES = ("C1D", "SW", "LC")
KINDS = tuple(product(NAMES, ("none", "zscore")))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int]:
    """Pixels, patch and stride, with tails of every length."""
    patch = draw(st.integers(2, 20))
    return draw(st.integers(patch, 70)), patch, draw(st.integers(1, patch))


@settings(deadline=None)
@given(cut_=cuts(), channels=st.integers(1, 3), zscore=st.booleans())
def test_the_tokenizers_are_the_same_map(
    cut_: tuple[int, int, int], channels: int, zscore: bool
) -> None:
    pixels, patch, stride = cut_
    c1d = Conv1dTokens(channels, patch, stride, 6, zscore)
    sw = SlidingWindowTokens(channels, patch, stride, 6, zscore)
    init_weights(c1d)
    init_weights(sw)
    parts = [c1d.convolution.weight.flatten(1)]
    if c1d.features is not None:
        parts.append(c1d.features.weight)
    with torch.no_grad():
        sw.linear.weight.copy_(torch.cat(parts, dim=1))
    spectra = torch.randn(2, channels, pixels)
    model = VitModel(patch=patch, stride=stride)
    assert c1d(spectra).shape == (2, model.patches(pixels), 6)
    torch.testing.assert_close(c1d(spectra), sw(spectra), atol=1e-5, rtol=1e-4)


@settings(deadline=None)
@given(cut_=cuts())
def test_each_patch_is_its_pixels_and_the_last_ends_the_spectrum(
    cut_: tuple[int, int, int],
) -> None:
    pixels, patch, stride = cut_
    spectra = torch.arange(float(2 * pixels)).view(1, 2, pixels)
    patches, starts = cut(spectra, patch, stride), patch_starts(pixels, patch, stride)
    assert len(starts) == patches.shape[1] == VitModel(patch=patch, stride=stride).patches(pixels)
    for start, seen in zip(starts.tolist(), patches[0], strict=True):
        assert torch.equal(seen, spectra[0, :, start : start + patch])
    assert starts[-1] == pixels - patch
    assert starts.diff().min() > 0 if len(starts) > 1 else True


@settings(deadline=None, max_examples=30)
@given(cut_=cuts(), name=st.sampled_from(NAMES), norm=st.booleans())
def test_every_pixel_is_seen(cut_: tuple[int, int, int], name: str, norm: bool) -> None:
    pixels, patch, stride = cut_
    torch.manual_seed(0)
    model = VitModel(
        input="flux+error",
        tokenizer=name,  # type: ignore[arg-type]
        patch=patch,
        stride=stride,
        chunk_norm="zscore" if norm else "none",
        hidden=5,
    )
    tokens = make_tokens(model, pixels)
    init_weights(tokens)
    spectra = torch.randn(1, 2, pixels, requires_grad=True)
    out = tokens(spectra)
    (gradient,) = torch.autograd.grad((out * torch.randn_like(out)).sum(), spectra)
    assert (gradient != 0).all()


@given(scatter=st.sampled_from([0.0, 1e-3, 0.1, 30.0]), level=st.sampled_from([0.0, 1.0, -7.0]))
def test_a_normed_patch_can_be_made_whole_again(scatter: float, level: float) -> None:
    generator = torch.Generator().manual_seed(3)
    patches = level + scatter * torch.randn(2, 5, 2, 16, generator=generator)
    normed, features = normalise_patches(patches)
    mean, log_scatter = features.view(2, 5, 2, 2).unbind(2)  # each (B, patches, C)
    again = normed * log_scatter.exp()[..., None] + mean[..., None]
    torch.testing.assert_close(again, patches, atol=1e-6 * max(scatter, 1e-3), rtol=1e-6)
    if scatter:
        assert normed.mean(dim=3).abs().max() < 1e-2
        torch.testing.assert_close(normed.square().mean(dim=3), torch.ones(2, 5, 2))


INPUTS = ("flux", "flux/error", "whitened", "flux+error")


@pytest.fixture(scope="module")
def spectra() -> Spectra:
    data = DataConfig(train_size=200, val_size=8, test_size=64)
    return open_spectra(data, 1.0, ("log_g",), torch.device("cpu"))


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(("patch", "stride"), [(8, 0), (16, 8), (64, 0)])
def test_all_start_at_the_same_token_variance(
    spectra: Spectra, kind: str, patch: int, stride: int
) -> None:
    torch.manual_seed(0)
    small = VitModel(
        input=kind,  # type: ignore[arg-type]
        patch=patch,
        stride=stride,
        hidden=32,
        layers=1,
    )
    observed = make_inputs(kind, spectra)(spectra.fixed("test", 0, 64))
    for name, norm in KINDS:
        model = replace(small, tokenizer=name, chunk_norm=norm)  # type: ignore[arg-type]
        network = build(model, spectra, 1)
        with torch.no_grad():
            tokens = network.tokens(network.standardise(observed))
        assert float(tokens.var()) == pytest.approx(1, rel=0.25), (name, norm)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_each_of_them_learns(pool: str) -> None:
    """The failure this stands against: a loss that stays at 1, the variance of the label."""
    reached = {which: _loss_after(which, pool, 60) for which in KINDS}
    assert max(reached.values()) < 0.25


def test_flux_as_it_is_would_not_be_learned() -> None:
    assert _loss_after(("SW", "none"), "cls", 60, standardised=False) > 0.8


def _loss_after(which: tuple[str, str], pool: str, steps: int, standardised: bool = True) -> float:
    """The mean squared error of the depth of a line, standardised: 1 for knowing nothing."""
    torch.manual_seed(5)
    model = VitModel(
        tokenizer=which[0],  # type: ignore[arg-type]
        chunk_norm=which[1],  # type: ignore[arg-type]
        patch=16,
        stride=12,
        hidden=32,
        layers=1,
        heads=2,
        mlp_ratio=4.0,
        pool=pool,  # type: ignore[arg-type]
    )
    network = ViT(model, 64, 1)
    if standardised:
        fit_input(network, _lines(256)[0])
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    late = []
    for step in range(steps):
        flux, label = _lines(64)
        loss = functional.mse_loss(network(flux), label)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if step >= steps - 5:
            late.append(float(loss.detach()))
    return sum(late) / len(late)


def _lines(n: int) -> tuple[Tensor, Tensor]:
    """(n, 64) flux with one line each, S/N 50, and the (n, 1) depths, standardised."""
    line = torch.exp(-0.5 * ((torch.arange(64) - 40) / 3.0) ** 2)
    depth = torch.randn(n, 1)
    return 1 - (0.4 + 0.1 * depth) * line + 0.02 * torch.randn(n, 64), depth


def test_a_patch_wider_than_the_spectrum_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.patch: 64 is more than the 50 pixels"):
        ViT(VitModel(patch=64), 50, 1)


def test_principal_tokens_sum_to_the_products_with_the_directions(spectra: Spectra) -> None:
    model = VitModel("whitened", "LC", "principal", patch=96, stride=60, hidden=40, layers=1)
    torch.manual_seed(0)
    wanted = principal_directions(spectra, make_inputs("whitened", spectra), 40)
    torch.manual_seed(0)
    tokens = make_tokens(model, spectra.pixels)
    assert isinstance(tokens, LocalTokens)
    init_weights(tokens)
    start_principal(tokens, wanted)
    x = torch.randn(5, 1, spectra.pixels)
    summed = tokens(x).sum(dim=1)
    torch.testing.assert_close(summed, torch.einsum("bcl,hcl->bh", x, wanted), atol=1e-4, rtol=1e-4)


def test_principal_directions_hold_what_the_labels_change(spectra: Spectra) -> None:
    """Noise-free stars that gave no direction lie in their span, to far less than the noise."""
    inputs = make_inputs("whitened", spectra)
    directions = principal_directions(spectra, inputs, 128)[:, 0]
    others = spectra.clean(200, 264)
    away = inputs(others) - inputs(spectra.clean(0, 200)).mean(dim=0)
    basis = torch.linalg.qr(directions.T)[0][:, :96]
    noise = float((others.error / spectra.sky_sigma()).median())
    assert float((away - away @ basis @ basis.T).std()) < 0.02 * noise < 0.1 * float(away.std())
