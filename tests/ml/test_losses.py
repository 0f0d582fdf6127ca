"""The losses against torch's own, and the reading of a network's outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from vitlab.contract.networks import output_count
from vitlab.contract.value import Value
from vitlab.ml.network.density import LOG_SIGMA, Mixture
from vitlab.ml.scoring import calibration
from vitlab.ml.training.task import density, make_loss

NAMES = ("mse", "l1", "huber", "nll")


def a_batch(name: str, labels: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    predicted = 2 * torch.randn(6, output_count(name, labels), generator=generator)
    return predicted, torch.randn(6, labels, generator=generator)


def nll(outputs: Tensor) -> Mixture:
    found = density(outputs, "nll", outputs.shape[1] // 2)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "torchs"), [("mse", nn.MSELoss()), ("l1", nn.L1Loss()), ("huber", nn.HuberLoss())]
)
def test_the_losses_are_torchs(name: str, torchs: nn.Module) -> None:
    predicted, wanted = a_batch(name)
    torch.testing.assert_close(make_loss(name)(predicted, wanted), torchs(predicted, wanted))
    assert density(predicted, name, 3) is None


def test_nll_is_that_of_the_normal_distribution() -> None:
    predicted, wanted = a_batch("nll")
    found = nll(predicted)
    mean, sigma = found.mean[:, 0], found.sigma[:, 0]
    assert mean.shape == sigma.shape == wanted.shape
    normal = torch.distributions.Normal(mean, sigma)
    expected = -normal.log_prob(wanted).mean()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(make_loss("nll")(predicted, wanted), expected)
    torchs = nn.GaussianNLLLoss(full=True)(mean, wanted, sigma.square())
    torch.testing.assert_close(make_loss("nll")(predicted, wanted), torchs)


def test_outputs_of_zero_mean_a_sigma_of_one() -> None:
    assert nll(torch.zeros(2, 4)).sigma[:, 0].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("raw", [-1e30, -200.0, 200.0, 1e30])
def test_nll_and_its_gradient_stay_finite(raw: float) -> None:
    predicted = torch.tensor([[0.5, raw]], requires_grad=True)
    loss = make_loss("nll")(predicted, torch.tensor([[-3.0]]))
    (gradient,) = torch.autograd.grad(loss, predicted)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    assert float(nll(predicted.detach()).sigma.log().abs()) == pytest.approx(LOG_SIGMA)


def test_nll_is_least_at_the_mean_and_the_scatter() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = 0.3 * torch.randn(2_000, 1, generator=generator) + 2
    log_sigma = wanted.std(correction=0).log()
    raw = LOG_SIGMA * (log_sigma / LOG_SIGMA).atanh()
    best = torch.stack([wanted.mean(), raw])[None].requires_grad_()
    loss = make_loss("nll")(best.expand(len(wanted), 2), wanted)
    (gradient,) = torch.autograd.grad(loss, best)
    assert gradient.abs().max() < 1e-5
    assert float(nll(best.detach()).sigma) == pytest.approx(
        float(wanted.std(correction=0)), rel=1e-5
    )


@given(weight=st.floats(0.01, 100), name=st.sampled_from(NAMES))
def test_equal_weights_change_nothing(weight: float, name: str) -> None:
    predicted, wanted = a_batch(name)
    weighted = make_loss(name, (weight,) * 3)(predicted, wanted)
    torch.testing.assert_close(weighted, make_loss(name)(predicted, wanted))


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_of_the_labels(name: str) -> None:
    predicted, wanted = a_batch(name)
    alone = [
        make_loss(name)(predicted[:, k :: wanted.shape[1]], wanted[:, k : k + 1]) for k in range(3)
    ]
    expected = (3 * alone[0] + 0.5 * alone[1] + 1 * alone[2]) / 4.5
    torch.testing.assert_close(make_loss(name, (3, 0.5, 1))(predicted, wanted), expected)


def test_weights_must_be_as_many_as_labels() -> None:
    predicted, wanted = a_batch("mse")
    with pytest.raises(ValueError, match="2 weights for 3 labels"):
        make_loss("mse", (1, 1))(predicted, wanted)


@pytest.mark.parametrize("name", [*NAMES, "mixture"])
def test_a_loss_reads_nothing_back(name: str) -> None:
    """Tensors of the meta device hold no numbers: whatever asks for one raises."""
    predicted, wanted = (x.to("meta") for x in a_batch(name))
    loss = make_loss(name, () if name == "mixture" else (1, 2, 3))(
        predicted.requires_grad_(), wanted
    )
    torch.autograd.backward(loss)
    assert loss.shape == ()


def test_calibration_of_known_errors() -> None:
    true = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [-2.0, 0.0]])
    found = calibration(true, np.zeros((4, 2)), np.full((4, 2), 1.0), ["log_g", "M_H"])
    assert found == {
        Value("", "pull2", "log_g"): 3.5,
        Value("", "pull2", "M_H"): 0.0,
        Value("", "within1", "log_g"): 0.5,
        Value("", "within1", "M_H"): 1.0,
        Value("", "within2", "log_g"): 0.75,
        Value("", "within2", "M_H"): 1.0,
    }


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_calibration_of_gaussian_errors(factor: float) -> None:
    """sigma said `factor` times too large: closed forms, to 4 standard errors."""
    n = 100_000
    sigma = np.random.default_rng(0).uniform(0.1, 3, (n, 1))
    true = np.random.default_rng(1).normal(0, sigma)
    found = calibration(true, np.zeros((n, 1)), factor * sigma, ["T_eff"])
    assert found[Value("", "pull2", "T_eff")] == pytest.approx(factor**-2, rel=4 * math.sqrt(2 / n))
    for k in (1, 2):
        share = math.erf(k * factor / math.sqrt(2))
        assert found[Value("", f"within{k}", "T_eff")] == pytest.approx(
            share, abs=4 * math.sqrt(0.25 / n)
        )
