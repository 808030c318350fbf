"""Starting from a signal: the level it is lifted to, and the two ends of the strength."""

import math

import pytest
import torch

from audio_diffusion_pytorch.diffusion import (
    DPMpp2M,
    Euler,
    ExponentialSchedule,
    GaussianNoise,
    HalfCircle,
    Heun,
    LinearBeta,
    StraightPath,
    VarianceExploding,
    sample,
)
from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING
from audio_diffusion_pytorch.diffusion.constraints import Inpainting
from audio_diffusion_pytorch.diffusion.init_signal import start_from, vary


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear_grid(steps=10, end=0.0):
    return torch.linspace(1, end, steps + 1, dtype=torch.float64)


def signals(count, *shape):
    return torch.randn(count, *shape, generator=seeded(), dtype=torch.float64)


def varied(signal, strength, *, times=None, schedule=None, solver=None, seed=0, **options):
    schedule = HalfCircle() if schedule is None else schedule
    return vary(
        OVERLAPPING.denoiser(schedule),
        signal,
        linear_grid() if times is None else times,
        solver or Euler(),
        schedule,
        strength=strength,
        noise=GaussianNoise(seeded(seed)),
        **options,
    )


@pytest.mark.parametrize("end", [0.0, 0.05])
def test_strength_0_returns_the_signal_unchanged(end):
    (signal,) = signals(1, 2, 1, 8)
    made = varied(signal, 0, times=linear_grid(end=end))
    assert torch.equal(made, signal) and made is not signal
    assert torch.equal(varied(signal, 0.0, solver=Euler(eta=1.0)), signal)


@pytest.mark.parametrize("schedule", [HalfCircle(), LinearBeta(), VarianceExploding()], ids=repr)
def test_strength_1_ignores_the_signal(schedule):
    first, second = signals(2, 2, 1, 8)
    made = varied(first, 1.0, schedule=schedule)
    assert torch.equal(made, varied(second, 1.0, schedule=schedule))
    # It is plain sampling, from noise of the deviation with which the schedule begins.
    _, sigma = schedule.alpha_sigma(torch.ones(1, dtype=torch.float64))
    start = sigma * GaussianNoise(seeded())(first, sigma, sigma)
    denoiser = OVERLAPPING.denoiser(schedule)
    assert torch.equal(made, sample(denoiser, start, linear_grid(), Euler(), schedule))


@pytest.mark.parametrize("schedule", [HalfCircle(), StraightPath(), VarianceExploding()], ids=repr)
@pytest.mark.parametrize("strength", [0.1, 0.5, 0.93])
def test_the_walk_starts_at_the_level_of_the_strength(schedule, strength):
    """The signal is lifted to the grid's nearest level, by the forward process of that level."""
    (signal,) = signals(1, 2, 1, 8)
    exponential = ExponentialSchedule(schedule, -8, 8)(41).double()
    fixed = torch.randn(2, 1, 8, generator=seeded(5), dtype=torch.float64)
    for times in (linear_grid(10), linear_grid(100), exponential):
        x, left = start_from(signal, times, strength, schedule, lambda *_: fixed)
        nearest = (times - strength).abs().min()
        assert abs(float(left[0]) - strength) == pytest.approx(float(nearest))
        assert torch.equal(left, times[len(times) - len(left) :])
        alpha, sigma = schedule.alpha_sigma(left[0])
        torch.testing.assert_close(x, alpha * signal + sigma * fixed)


def test_no_level_is_outside_the_grid():
    """A grid that starts at 0.7 is not left for a strength of 0.9, nor one that ends at 0.2."""
    (signal,) = signals(1, 1, 1, 8)
    times = torch.linspace(0.7, 0.2, 6, dtype=torch.float64)
    for strength, first in ((1.0, 0.7), (0.9, 0.7), (0.46, 0.5), (0.05, 0.2)):
        _, left = start_from(signal, times, strength, HalfCircle())
        assert float(left[0]) == pytest.approx(first) and float(left[-1]) == pytest.approx(0.2)
    # Nothing left to walk: the signal at the last level.
    fixed = torch.ones(1, 1, 8, dtype=torch.float64)
    x, left = start_from(signal, times, 0.1, HalfCircle(), lambda *_: fixed)
    alpha, sigma = HalfCircle().alpha_sigma(left[0])
    assert len(left) == 1
    torch.testing.assert_close(x, alpha * signal + sigma * fixed)


def test_a_level_that_rounds_to_clean_leaves_the_signal_unchanged():
    (signal,) = signals(1, 1, 1, 8)
    assert torch.equal(varied(signal, 0.04), signal)


def test_steps_are_those_below_the_level():
    (signal,) = signals(1, 1, 1, 8)
    calls = []
    varied(signal, 0.3, callback=lambda state: calls.append(float(state.time[0])))
    assert calls == pytest.approx([0.2, 0.1, 0.0])


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.8])
def test_likeness_falls_with_the_strength_and_the_law_stays(strength):
    """On N(0, 1) data the flow stands still, so the correlation is alpha, the variance 1."""
    (signal,) = signals(1, 1, 1, 40000)
    made = vary(
        lambda x, time: HalfCircle().alpha_sigma(time)[0][:, None, None] * x,
        signal,
        linear_grid(20),
        Heun(),
        HalfCircle(),
        strength=strength,
        noise=GaussianNoise(seeded(1)),
    )
    alpha = math.cos(strength * math.pi / 2)
    assert (made * signal).mean().item() == pytest.approx(alpha, abs=0.02)
    assert made.var().item() == pytest.approx(1, abs=0.02)


def test_a_constraint_holds_while_varying():
    (signal,) = signals(1, 2, 1, 8)
    keep = torch.arange(8).expand(1, 1, 8) < 4
    made = varied(signal, 0.6, solver=DPMpp2M(), constraint=Inpainting(signal, keep))
    assert torch.equal(made[..., :4], signal[..., :4])
    assert bool((made[..., 4:] != signal[..., 4:]).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_dtype_is_kept(dtype):
    (signal,) = signals(1, 2, 1, 8)
    for strength in (0.0, 0.5, 1.0):
        assert varied(signal.to(dtype), strength).dtype == dtype


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan])
def test_a_strength_outside_its_range_is_refused(strength):
    with pytest.raises(ValueError, match="strength must lie in 0") as error:
        varied(torch.zeros(1, 1, 8), strength)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("times", [torch.ones(1), torch.rand(4, 2), torch.linspace(0, 1, 4)])
def test_times_must_be_one_falling_row(times):
    with pytest.raises(ValueError, match="one falling row"):
        varied(torch.zeros(1, 1, 8), 0.5, times=times)


def test_a_signal_of_whole_numbers_is_refused():
    """All noise gains below 1 would be rounded to 0."""
    whole, times = torch.ones(1, 1, 8, dtype=torch.int64), torch.linspace(1, 0, 5)
    denoiser = OVERLAPPING.denoiser(HalfCircle())
    with pytest.raises(ValueError, match=r"floating-point numbers, got torch\.int64"):
        start_from(whole, times, 0.5, HalfCircle())
    with pytest.raises(ValueError, match=r"floating-point numbers, got torch\.int64"):
        vary(denoiser, whole, times, Euler(), HalfCircle(), strength=0.0)
    with pytest.raises(ValueError, match=r"must be a tensor .* got list"):
        start_from(whole.float(), [1.0, 0.0], 0.5, HalfCircle())
