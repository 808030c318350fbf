"""The samplers of the 0.0.x releases: their figures where they were right, the truth elsewhere."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING, GaussianMixture
from audio_diffusion_pytorch.diffusion.grids import KarrasSchedule
from audio_diffusion_pytorch.diffusion.noise_schedules import VarianceExploding
from audio_diffusion_pytorch.diffusion.objectives import VKDiffusion
from audio_diffusion_pytorch.diffusion.samplers import ADPM2Sampler, AEulerSampler, KarrasSampler

GOLDEN = Path(__file__).parents[1] / "golden" / "old_samplers.npz"


def figures(case):
    with np.load(GOLDEN) as arrays:
        parts = ("noise", "sigmas", "draws", "result")
        return tuple(torch.from_numpy(arrays[f"{case}/{part}"]) for part in parts)


def replay(draws):
    """A noise source that gives the recorded noise, step by step."""
    waiting = iter(draws)
    return lambda x, time, next_time: next(waiting)


def mixture_fn(data=OVERLAPPING, calls=None):
    """The `denoise_fn` of a method that has learnt a mixture perfectly."""

    def fn(x, sigma):
        assert sigma.ndim == 0
        if calls is not None:
            calls.append(float(sigma))
        return data.denoise(x, torch.ones_like(sigma), sigma)

    return fn


def karras_sigmas(steps, low=0.05, high=10.0):
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])


@pytest.mark.parametrize(
    ("case", "sampler"),
    [
        ("aeuler", AEulerSampler()),
        ("adpm2", ADPM2Sampler()),
        ("adpm2_rho3", ADPM2Sampler(rho=3.0)),
    ],
)
def test_the_same_noise_gives_the_old_result(case, sampler):
    """The old walk of 10 steps made 9 and ended at the tenth sigma: ask for just that."""
    noise, sigmas, draws, result = figures(case)
    made = sampler(noise, mixture_fn(), sigmas[:-1], 9, step_noise=replay(draws))
    torch.testing.assert_close(made, result, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("case", "sampler"),
    [
        # The old release spread its churn over the steps asked for, one more than it made.
        ("karras_churn", KarrasSampler(s_churn=0.3, s_noise=1.003)),
        ("karras_capped", KarrasSampler(s_churn=20.0)),
        ("karras_outside", KarrasSampler(s_churn=0.3, s_tmin=3.0)),
    ],
)
def test_the_old_churn_is_kept_where_it_was_right(case, sampler):
    noise, sigmas, draws, result = figures(case)
    made = sampler(noise, mixture_fn(), sigmas, 1, step_noise=replay(draws))
    torch.testing.assert_close(made, result, atol=1e-10, rtol=0)


def test_the_old_chain_of_method_schedule_and_sampler_gives_the_old_result():
    noise, sigmas, draws, result = figures("vk")
    # The old schedule was computed in float32.
    schedule = KarrasSchedule(sigma_min=0.05, sigma_max=10.0, rho=7.0)
    torch.testing.assert_close(
        schedule(12, torch.device("cpu")).double(), sigmas, atol=1e-5, rtol=1e-5
    )

    def net(x, time):
        return 0.3 * x + time[:, None, None] - 0.2

    fn = VKDiffusion(net).denoise_fn
    made = AEulerSampler()(noise, fn, sigmas[:-1], 11, step_noise=replay(draws))
    torch.testing.assert_close(made, result, atol=1e-10, rtol=0)


@pytest.mark.parametrize("sampler", [KarrasSampler(), AEulerSampler(), ADPM2Sampler()])
def test_the_walk_goes_all_the_way_and_calls_as_often_as_it_says(sampler):
    """The old ones made one step less than asked for, and left the noise of the last level in."""
    sigmas, calls = karras_sigmas(8), []
    noise = torch.randn(2, 1, 16, dtype=torch.float64)
    clean = torch.full_like(noise, 0.25)

    def fn(x, sigma):
        calls.append(float(sigma))
        return clean

    assert torch.equal(sampler(noise, fn, sigmas, 8), clean)
    assert len(calls) == (8 if isinstance(sampler, AEulerSampler) else 15)
    assert calls[0] == pytest.approx(10.0, abs=1e-12)
    seen = sampler(noise, fn, sigmas, 8, callback=lambda state: calls.append(state.index))
    assert torch.equal(seen, clean)
    assert calls[-1] == 8


def test_karras_without_churn_is_of_second_order():
    """The old one multiplied its correction by zero and gave back its start noise."""
    noise = torch.linspace(-2, 2, 21, dtype=torch.float64).reshape(1, 1, 21)
    schedule = VarianceExploding(sigma_max=10.0, rho=1.0)
    start, end = torch.tensor([1.0]).double(), torch.tensor([0.005]).double()
    exact = OVERLAPPING.flow(10.0 * noise, schedule, start, end)
    errors = []
    for steps in (32, 64, 128):
        sigmas = karras_sigmas(steps + 1)[:-1]
        made = KarrasSampler()(noise, mixture_fn(), sigmas, steps)
        errors.append(float((made - exact).abs().max()))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(slope > 1.9 for slope in slopes)


def test_churn_follows_algorithm_2_of_edm():
    """Written out in plain numbers, with the noise of each step given."""
    noise, sigmas = torch.randn(2, 1, 8, dtype=torch.float64), karras_sigmas(5)
    draws = torch.randn(5, 2, 1, 8, dtype=torch.float64)
    low, high, churn, gain = 0.2, 5.0, 1.5, 1.003
    sampler = KarrasSampler(s_tmin=low, s_tmax=high, s_churn=churn, s_noise=gain)
    made = sampler(noise, mixture_fn(), sigmas, 5, step_noise=replay(draws))
    fn, x = mixture_fn(), sigmas[0] * noise
    for i, draw in enumerate(draws):
        here, there = sigmas[i], sigmas[i + 1]
        gamma = min(churn / 5, math.sqrt(2) - 1) if low <= here <= high else 0.0
        hat = here * (1 + gamma)
        x = x + gain * (hat**2 - here**2).sqrt() * draw
        slope = (x - fn(x, sigma=hat)) / hat
        ahead = x + (there - hat) * slope
        if there > 0:
            slope = (slope + (ahead - fn(ahead, sigma=there)) / there) / 2
        x = x + (there - hat) * slope
    torch.testing.assert_close(made, x, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    "sampler",
    [
        KarrasSampler(),
        KarrasSampler(s_churn=40.0),
        AEulerSampler(),
        ADPM2Sampler(),
        ADPM2Sampler(3),
    ],
    ids=["karras", "churn", "aeuler", "adpm2", "adpm2 rho 3"],
)
def test_gaussian_data_come_back_as_they_are(sampler):
    """Mean within 0.03 deviations and deviation within 3 %, of 40,000 samples at 200 steps."""
    data = GaussianMixture((1.0,), (0.3,), (0.5,))
    noise = torch.randn(1, 1, 40_000, dtype=torch.float64)
    sigmas = karras_sigmas(200, low=0.01, high=40.0)
    made = sampler(noise, mixture_fn(data), sigmas, 200)
    assert abs(made.mean() - 0.3) < 0.03 * 0.5
    assert abs(made.std() / 0.5 - 1) < 0.03


@pytest.mark.parametrize("sampler", [KarrasSampler(), AEulerSampler(), ADPM2Sampler()])
def test_inpainting_fits_what_is_kept(sampler):
    """Two numbers with correlation 0.9, the first known to be 1.5: 1.35 and 0.436 are right."""
    spread = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)

    def fn(x, sigma):
        return x @ torch.linalg.solve(spread + sigma**2 * torch.eye(2).to(x), spread)

    source = torch.tensor([[[1.5, float("nan")]]], dtype=torch.float64).expand(4000, 1, 2)
    mask = torch.tensor([[[True, False]]])
    sigmas, means = karras_sigmas(20, low=0.02), []
    for visits in (1, 12):
        made = sampler.inpaint(source, mask, fn, sigmas, 20, visits)
        assert torch.equal(made[..., 0], source[..., 0])  # bit for bit
        means.append(float(made[..., 1].mean()))
    assert abs(means[1] - 1.35) < 0.08
    assert abs(made[..., 1].std() - 0.436) < 0.08
    assert abs(means[0] - 1.35) > 0.3  # one visit, which is replacement, is not enough
    with pytest.raises(ValueError, match="at least 1 visit"):
        sampler.inpaint(source, mask, fn, sigmas, 20, 0)


@pytest.mark.parametrize(
    ("sigmas", "steps", "words"),
    [
        (karras_sigmas(5), 0, "at least 1, got 0"),
        (karras_sigmas(5), 4, r"5 noise levels for 4 steps.*\(6,\)"),
        (karras_sigmas(5).flip(0), 5, "sigmas must fall"),
        (-karras_sigmas(5).flip(0), 5, "sigmas must fall"),
        (torch.ones(2, 3), 1, "noise levels"),
    ],
)
def test_sigmas_that_cannot_be_walked_are_refused_in_one_line(sigmas, steps, words):
    with pytest.raises(ValueError, match=words) as caught:
        AEulerSampler()(torch.randn(1, 1, 8), mixture_fn(), sigmas, steps)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="rho must be above 0"):
        ADPM2Sampler(rho=0.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"s_churn": -5.0}, "s_churn must be at least 0"),
        ({"s_churn": math.nan}, "got s_churn=nan"),
        ({"s_tmin": 3.0, "s_tmax": 1.0}, "s_tmin <= s_tmax, got s_tmin=3.0 and s_tmax=1.0"),
        ({"s_tmin": -1.0}, "got s_tmin=-1.0"),
        ({"s_noise": -1.0}, "s_noise=-1.0"),
        ({"s_noise": math.nan}, "s_noise=nan"),
    ],
)
def test_karras_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        KarrasSampler(**settings)
    assert "\n" not in str(caught.value)
