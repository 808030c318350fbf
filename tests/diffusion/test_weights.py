"""Weights against their closed forms, for every head; and what they must not move."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diffusion.noise_schedules import (
    HalfCircle,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.diffusion.parameterizations import (
    CleanPrediction,
    EDMPreconditioning,
    EpsilonPrediction,
    FlowPrediction,
    VPrediction,
)
from audio_diffusion_pytorch.diffusion.weights import (
    EDMWeight,
    LearnedUncertainty,
    MinSNR,
    Uniform,
)

HEADS = {
    "eps": EpsilonPrediction(),
    "x0": CleanPrediction(),
    "v": VPrediction(),
    "flow": FlowPrediction(),
    "edm": EDMPreconditioning(0.7),
}
SCHEDULES = [HalfCircle(), StraightPath(), VarianceExploding(80.0)]
WEIGHTS = {
    "uniform": Uniform,
    "min-SNR": MinSNR,
    "soft min-SNR": lambda: MinSNR(5.0, soft=True),
    "edm": lambda: EDMWeight(0.7),
    "learned": LearnedUncertainty,
}


def levels(schedule, head, time):
    """`(SNR, c_out)` at some times."""
    c_out = head.coefficients(time, *schedule.alpha_sigma(time))[1]
    return schedule.log_snr(time).exp(), c_out


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_factor_on_the_clean_error(head, schedule):
    """The factor is `c_out^2` times what the papers put on `|x0 error|^2`, whatever the head."""
    time = torch.linspace(0.02, 0.98, 50, dtype=torch.float64)
    snr, c_out = levels(schedule, HEADS[head], time)
    loss = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error = loss * c_out.square()  # of the clean signal
    expected = {
        MinSNR(5.0): snr.clamp(max=5.0) * error,
        MinSNR(4.0, soft=True): error / (1 / snr + 1 / 4.0),
        EDMWeight(0.7): error * (1 / snr + 0.7**2) / (0.7**2 / snr),
        Uniform(): loss,
    }
    for weight, value in expected.items():
        torch.testing.assert_close(weight(loss, snr.log(), c_out), value, rtol=1e-9, atol=0)


def test_published_factors_of_min_snr():
    """Hang et al. 2023: min(SNR, g)/SNR for noise, min(SNR, g)/(SNR + 1) for the velocity."""
    time = torch.linspace(0.02, 0.98, 50, dtype=torch.float64)
    for head, divisor in {"eps": lambda s: s, "x0": lambda _: 1.0, "v": lambda s: s + 1}.items():
        snr, c_out = levels(HalfCircle(), HEADS[head], time)
        factor = MinSNR()(torch.ones_like(time), snr.log(), c_out)
        torch.testing.assert_close(factor, snr.clamp(max=5.0) / divisor(snr))


def test_edm_weight_is_one_for_its_own_preconditioning():
    time = torch.linspace(0.01, 1.0, 50, dtype=torch.float64)
    snr, c_out = levels(VarianceExploding(80.0), EDMPreconditioning(0.7), time)
    torch.testing.assert_close(EDMWeight(0.7)(time, snr.log(), c_out), time)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_infinite_levels_give_finite_losses_and_gradients(weight, head, schedule, dtype):
    time = torch.tensor([0.0, 1.0], dtype=dtype)
    c_out = HEADS[head].coefficients(time, *schedule.alpha_sigma(time))[1]
    loss = torch.ones(2, dtype=dtype, requires_grad=True)
    part = WEIGHTS[weight]()
    weighted = part(loss, schedule.log_snr(time), c_out)
    weighted.sum().backward()
    assert weighted.isfinite().all() and loss.grad.isfinite().all()
    assert weighted.dtype == dtype
    if isinstance(part, nn.Module):
        assert all(p.grad.isfinite().all() for p in part.parameters())


@pytest.mark.parametrize("weight", WEIGHTS)
def test_an_infinite_c_out_cancels_as_its_limit(weight):
    """A noise predictor of one's own may say c_out = sigma / alpha = inf at pure noise."""
    near = torch.tensor([-20.0, -26.0], dtype=torch.float64)
    part = WEIGHTS[weight]()
    ratio = part(torch.ones(2).double(), near, torch.exp(-near / 2))
    limit = part(torch.ones(1).double(), torch.tensor([-math.inf]), torch.tensor([math.inf]))
    assert limit.isfinite().all()
    if "min" in weight:
        torch.testing.assert_close(limit, ratio[1:], rtol=1e-6, atol=0)


class Gain(nn.Module):
    """Answers `k c_in x` with one gain `k` for each item: for Gaussian data the best net is one."""

    def __init__(self, best):
        super().__init__()
        self.gain = nn.Parameter(best.clone())

    def forward(self, x, time):
        return self.gain[:, None, None] * x


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_the_best_net_has_no_gradient(weight, head, schedule):
    """On N(0, s^2) data `E[F | x]` is linear; no weight may move the net away from it.

    Four points with the second moments of (data, noise) stand in for the expectation, exactly.
    """
    std, times = 0.7, torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    clean = std * torch.tensor([1.0, 1.0, -1.0, -1.0]).double().expand(7, 1, 4)
    noise = torch.tensor([1.0, -1.0, 1.0, -1.0]).double().expand(7, 1, 4)
    alpha, sigma = (v[:, None, None] for v in schedule.alpha_sigma(times))
    c_in = HEADS[head].coefficients(times, *schedule.alpha_sigma(times))[2][:, None, None]
    seen = c_in * (alpha * clean + sigma * noise)
    target = HEADS[head].target(clean, noise, alpha, sigma)
    best = ((seen * target).mean((1, 2)) / seen.square().mean((1, 2))).detach()
    gradients = []
    for off in (0.0, 0.1):
        objective = GaussianDiffusion(
            Gain(best + off), schedule, HEADS[head], weight=WEIGHTS[weight]()
        )
        objective(clean, times=times, noise=noise).backward()
        gradients.append(objective.net.gain.grad.abs())
    assert (gradients[1] > 0).all()
    assert (gradients[0] < 1e-11 * gradients[1]).all()


def test_learned_uncertainty_learns_the_loss_of_each_level():
    """At its best `u = log E[loss]`; then every level weighs `1 / E[loss]`."""
    weight = LearnedUncertainty()
    log_snr = torch.linspace(-12, 12, 200)
    truth = torch.exp(-1 + 0.2 * log_snr - 0.01 * log_snr**2)
    optimizer = torch.optim.Adam(weight.parameters(), 0.05)
    for _ in range(500):
        optimizer.zero_grad()
        weight(truth, log_snr, torch.ones(200)).mean().backward()
        optimizer.step()
    torch.testing.assert_close(weight.log_variance(log_snr), truth.log(), rtol=0, atol=0.1)


def test_learned_uncertainty_is_a_part_of_the_model():
    weight = LearnedUncertainty(8)
    objective = GaussianDiffusion(nn.Identity(), HalfCircle(), VPrediction(), weight=weight)
    assert dict(objective.named_parameters()) == {"weight.amplitudes": weight.amplitudes}
    plain = torch.rand(5)
    assert torch.equal(weight(plain, torch.randn(5), torch.ones(5)), plain)  # untrained: no weight
    nn.init.ones_(weight.amplitudes)
    assert not torch.equal(weight(plain, torch.randn(5), torch.ones(5)), plain)
    assert torch.equal(weight.eval()(plain, torch.randn(5), torch.ones(5)), plain)
    nn.init.zeros_(weight.amplitudes)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(objective)))
    twin.weight.amplitudes.data.fill_(1.0)
    assert weight.amplitudes.abs().max() == 0


@pytest.mark.parametrize("weight", WEIGHTS)
def test_half_precision_losses_keep_their_dtype(weight):
    part = WEIGHTS[weight]()
    loss = torch.ones(3, dtype=torch.bfloat16)
    assert part(loss, torch.zeros(3), torch.ones(3)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MinSNR(0.0), "gamma"),
        (lambda: MinSNR(-5.0, soft=True), "gamma"),
        (lambda: MinSNR(math.inf), "gamma"),
        (lambda: EDMWeight(0.0), "sigma_data"),
        (lambda: LearnedUncertainty(0), "features"),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
