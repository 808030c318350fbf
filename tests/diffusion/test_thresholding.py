"""Bounds on the guess of the clean signal: never on the noisy state."""

import pytest
import torch

from audio_diffusion_pytorch.diffusion import Euler, HalfCircle, sample
from audio_diffusion_pytorch.diffusion.guidance import ClassifierFreeGuidance, Interval
from audio_diffusion_pytorch.diffusion.thresholding import DynamicThreshold, StaticThreshold


def guess(seed=0, gain=3.0):
    generator = torch.Generator().manual_seed(seed)
    return gain * torch.randn(2, 2, 500, generator=generator, dtype=torch.float64)


def call(threshold, clean):
    return threshold(lambda x, time: clean)(torch.zeros_like(clean), torch.ones(2))


def test_static_threshold_clips():
    clean = guess()
    assert torch.equal(call(StaticThreshold(limit=1.5), clean), clean.clip(-1.5, 1.5))


@pytest.mark.parametrize("percentile", [0.5, 0.9, 0.995, 1.0])
@pytest.mark.parametrize("limit", [1.0, 2.0])
def test_dynamic_threshold_scales_the_percentile_to_the_limit(percentile, limit):
    clean = guess(gain=6.0)
    made = call(DynamicThreshold(percentile=percentile, limit=limit), clean)
    top = clean.abs().flatten(1).quantile(percentile, dim=1)
    expected = torch.stack([one.clip(-s, s) * limit / s for one, s in zip(clean, top, strict=True)])
    torch.testing.assert_close(made, expected)
    at_limit = (made.abs() >= limit * (1 - 1e-12)).flatten(1).double().mean(1)
    torch.testing.assert_close(
        at_limit, torch.full((2,), 1 - percentile).double(), atol=2e-3, rtol=0
    )


def test_dynamic_threshold_only_clips_what_is_in_range():
    """Where the percentile is below the limit there is nothing to scale."""
    clean = guess(gain=0.1)
    assert torch.equal(call(DynamicThreshold(percentile=0.9), clean), clean)
    clean[0, 0, 0] = 5.0
    made = call(DynamicThreshold(percentile=0.9), clean)
    assert made[0, 0, 0] == 1.0
    assert torch.equal(made.flatten()[1:], clean.flatten()[1:])


def test_dynamic_threshold_treats_items_alone():
    loud, quiet = guess(), guess(1, gain=0.1)
    both = torch.cat([loud[:1], quiet[:1]])
    made = call(DynamicThreshold(), both)
    assert torch.equal(made[:1], call(DynamicThreshold(), loud)[:1])
    assert torch.equal(made[1], quiet[0])


def test_thresholds_nest_with_guidance_either_way():
    clean = guess()

    def denoise(x, time, *, gain):
        return gain[:, None, None] * torch.cat([clean] * (len(x) // 2))

    cond, null = {"gain": torch.tensor([1.0, 2.0])}, {"gain": torch.zeros(2)}
    x, time = torch.zeros_like(clean), torch.tensor([0.2, 0.6])
    plain = denoise(x, time, **cond)
    outside = StaticThreshold(Interval(ClassifierFreeGuidance(3.0), 0.5, 1.0))
    inside = Interval(StaticThreshold(ClassifierFreeGuidance(3.0)), 0.5, 1.0)
    expected = torch.stack([plain[0], 3 * plain[1]])
    torch.testing.assert_close(outside(denoise, cond, null)(x, time), expected.clip(-1, 1))
    made = inside(denoise, cond, null)(x, time)
    torch.testing.assert_close(made, torch.stack([plain[0], (3 * plain[1]).clip(-1, 1)]))


def test_bounding_the_guess_keeps_the_start_noise_and_bounding_the_state_does_not():
    """Data N(0, 0.3^2), within -1..1: only the bound on the state costs anything."""
    schedule, std = HalfCircle(), 0.3
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 20000, generator=generator, dtype=torch.float64)

    def denoiser(x, time):
        alpha, sigma = schedule.alpha_sigma(time)
        return alpha * std**2 / (alpha**2 * std**2 + sigma**2) * x

    def clamp_state(state):
        state.x.clamp_(-1, 1)

    times = torch.linspace(1, 0, 51, dtype=torch.float64)
    free = sample(denoiser, x, times, Euler(), schedule)
    bounded = sample(StaticThreshold()(denoiser), x, times, Euler(), schedule)
    clamped = sample(denoiser, x.clamp(-1, 1), times, Euler(), schedule, callback=clamp_state)
    in_range = free.abs() < 0.9
    assert torch.equal(bounded[in_range], free[in_range]) and in_range.double().mean() > 0.99
    assert free.std().item() == pytest.approx(std, rel=0.05)
    assert clamped.std() < 0.8 * free.std()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: StaticThreshold(limit=0.0), "above 0"),
        (lambda: DynamicThreshold(limit=-1.0), "above 0"),
        (lambda: DynamicThreshold(percentile=0.0), "percentile"),
        (lambda: DynamicThreshold(percentile=99.5), "percentile"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
