"""The ground truth of the solver tests is itself held against Bayes, Gauss and an ODE."""

import math

import pytest
import torch

from audio_diffusion_pytorch.diffusion import HalfCircle, LinearSchedule
from audio_diffusion_pytorch.diffusion.closed_form import (
    OVERLAPPING,
    SEPARATED,
    GaussianMixture,
)

SCHEDULE = HalfCircle()


def at(time):
    return torch.tensor(time, dtype=torch.float64)


def test_one_gaussian_flows_by_its_deviation():
    """x -> alpha' m + (x - alpha m) std' / std, far into the tails."""
    data = GaussianMixture((1.0,), (0.3,), (0.5,))
    x = torch.linspace(-20, 20, 41, dtype=torch.float64)[None, None]
    (alpha, sigma), (next_alpha, next_sigma) = (SCHEDULE.alpha_sigma(at(t)) for t in (0.99, 0.1))
    ratio = (next_alpha**2 / 4 + next_sigma**2).sqrt() / (alpha**2 / 4 + sigma**2).sqrt()
    exact = next_alpha * 0.3 + (x - alpha * 0.3) * ratio
    torch.testing.assert_close(data.flow(x, SCHEDULE, at(0.99), at(0.1)), exact)


@pytest.mark.parametrize("data", [OVERLAPPING, SEPARATED])
def test_flow_there_and_back_and_in_two_hops(data):
    x = torch.linspace(-2.5, 2.5, 21, dtype=torch.float64)[None, None]
    there = data.flow(x, SCHEDULE, at(0.9), at(0.2))
    torch.testing.assert_close(data.flow(there, SCHEDULE, at(0.2), at(0.9)), x)
    hop = data.flow(data.flow(x, SCHEDULE, at(0.9), at(0.5)), SCHEDULE, at(0.5), at(0.2))
    torch.testing.assert_close(hop, there)


def test_flow_obeys_the_probability_flow_ode():
    """In sigma / alpha the slope of x / alpha is (x / alpha - x0) / (sigma / alpha)."""
    x, step = torch.linspace(-2, 2, 9, dtype=torch.float64)[None, None], 1e-4
    ends = [
        OVERLAPPING.flow(x, SCHEDULE, at(0.5), at(0.5 + sign * step)) / SCHEDULE.alpha_sigma(t)[0]
        for sign in (-1, 1)
        for t in (at(0.5 + sign * step),)
    ]
    levels = [math.tan(math.pi / 2 * (0.5 + sign * step)) for sign in (-1, 1)]
    measured = (ends[1] - ends[0]) / (levels[1] - levels[0])
    alpha, sigma = SCHEDULE.alpha_sigma(at(0.5))
    clean = OVERLAPPING.denoiser(SCHEDULE)(x, at([0.5]))
    torch.testing.assert_close(measured, (x - alpha * clean) / sigma, rtol=1e-6, atol=1e-6)


def test_denoiser_is_the_mean_over_the_posterior():
    """E[x0 | x] by integrating Bayes' rule on a fine grid."""
    clean = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    alpha, sigma = SCHEDULE.alpha_sigma(at(0.4))
    density = sum(
        p / s * (-((clean - m) ** 2) / (2 * s * s)).exp()
        for p, m, s in zip(SEPARATED.weights, SEPARATED.means, SEPARATED.stds, strict=True)
    )
    x = torch.tensor([-1.0, 0.1, 0.7], dtype=torch.float64)
    posterior = density * (-((x[:, None] - alpha * clean) ** 2) / (2 * sigma**2)).exp()
    wanted = (posterior * clean).sum(1) / posterior.sum(1)
    torch.testing.assert_close(SEPARATED.denoise(x, alpha, sigma), wanted)


def test_draws_have_the_mean_and_deviation_said():
    draws = SEPARATED.sample((100_000,), torch.Generator().manual_seed(0))
    assert abs(draws.mean() - SEPARATED.mean) < 0.01
    assert abs(draws.std() - SEPARATED.std) < 0.01


def test_times_per_item_and_position_and_float32():
    denoiser = OVERLAPPING.denoiser(SCHEDULE)
    times = LinearSchedule(0.9, 0.3)(4)
    x = torch.randn(4, 1, 4, generator=torch.Generator().manual_seed(0))
    per_item = denoiser(x, times)
    assert per_item.dtype == torch.float32
    per_position = denoiser(x.transpose(0, 2), times.expand(4, 1, 4))
    torch.testing.assert_close(per_position, per_item.transpose(0, 2))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((1.0,), (0.0, 1.0), (1.0,)), "as many weights"),
        (((0.5, 0.6), (0.0, 1.0), (1.0, 1.0)), "sum to 1"),
        (((1.0,), (0.0,), (0.0,)), "deviations above 0"),
    ],
)
def test_bad_mixtures_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        GaussianMixture(*arguments)
