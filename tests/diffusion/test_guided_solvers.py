"""Solvers of high order under strong guidance, where the field is steep.

Two classes of one width at -1 and 1, guided towards the second: the unconditional guess is that of
the mixture, so the field bends where the classes part. UniPC was reported to blow up in such fields
(diffusers issue 5646).
"""

import pytest
import torch

from audio_diffusion_pytorch.diffusion import HalfCircle, sample
from audio_diffusion_pytorch.diffusion.closed_form import GaussianMixture
from audio_diffusion_pytorch.diffusion.guidance import ClassifierFreeGuidance
from audio_diffusion_pytorch.diffusion.solvers import RK4, DPMpp2M, Euler, UniPC
from audio_diffusion_pytorch.diffusion.thresholding import StaticThreshold
from audio_diffusion_pytorch.ops.shapes import lift

STD, SCALES = 0.5, (5.0, 10.0, 15.0)
SCHEDULE = HalfCircle()
BOTH, SECOND = GaussianMixture([0.5, 0.5], [-1, 1], [STD] * 2), GaussianMixture([1], [1], [STD])
QUANTILES = (2 * torch.arange(1, 100, dtype=torch.float64) / 100 - 1).erfinv() * 2**0.5


def denoise(x, time, *, labels):
    alpha, sigma = (lift(v, x) for v in SCHEDULE.alpha_sigma(time))
    known = lift(labels, x) >= 0
    return torch.where(
        known, SECOND.denoise(x, alpha, sigma), BOTH.denoise(x, alpha, sigma)
    )  # fmt: skip


def exponential(steps):
    inner = SCHEDULE.time_at(torch.linspace(-8, 10, steps, dtype=torch.float64))
    return torch.cat([inner, torch.zeros(1, dtype=torch.float64)])


def walk(guidance, solver, times):
    denoiser = guidance(denoise, {"labels": torch.ones(1)}, {"labels": -torch.ones(1)})
    return sample(denoiser, QUANTILES.reshape(1, 1, -1), times, solver, SCHEDULE)


def error(guidance, solver, steps):
    """The largest error, against a fine walk from the same start."""
    return (walk(guidance, solver, exponential(steps)) - exact(guidance)).abs().max().item()


_EXACT = {}


def exact(guidance):
    if guidance not in _EXACT:
        _EXACT[guidance] = walk(guidance, RK4(), exponential(300))
    return _EXACT[guidance]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_follows_strong_guidance_from_sixteen_steps_on(order, scale):
    guidance = ClassifierFreeGuidance(scale)
    coarse, fine = (error(guidance, UniPC(order), steps) for steps in (16, 32))
    assert coarse < 0.5 and fine < 0.05
    assert fine < error(guidance, DPMpp2M(), 32) < error(guidance, Euler(), 32)


@pytest.mark.parametrize("scale", SCALES)
def test_unipc_of_order_one_follows_strong_guidance_in_eight_steps(scale):
    assert error(ClassifierFreeGuidance(scale), UniPC(1), 8) < 0.6


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("solver", [DPMpp2M(), UniPC(2), UniPC(3)], ids=["2M", "UniPC2", "UniPC3"])
def test_a_threshold_keeps_eight_steps_of_any_order_from_overshooting(solver, scale):
    """Without it they leave the range of the data by far more than the guidance asks for."""
    bounded = StaticThreshold(ClassifierFreeGuidance(scale), limit=1.5)
    assert error(bounded, solver, 8) < 0.5
    assert error(ClassifierFreeGuidance(scale), solver, 8) > 0.8
