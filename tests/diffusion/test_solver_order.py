"""The solvers have the order they state, measured against the exact flow of a mixture.

The bed is the overlapping mixture from sigma / alpha = 10 down to 0.1: smooth enough to read slopes
from, and never at the clean end, where every solver makes one Euler step. `pytest -s` prints the
table. Both grids walk at once, as two items with times of their own.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    HalfCircle,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.sampler import sample
from audio_diffusion_pytorch.diffusion.solvers import (
    DEIS,
    DPM2,
    LMS,
    RK4,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    Euler,
    Heun,
    UniPC,
)

STEPS = (32, 64, 128, 256)
HIGH, LOW = 10.0, 0.1
POINTS = torch.linspace(-2, 2, 21, dtype=torch.float64)
EXPLODING = VarianceExploding(20.0)

# name: (solver, stated order, net calls beyond n calls a step, largest error of 128 even steps)
TABLE = {
    "Euler": (Euler(), 1, 0, 1.1e-2),
    "Heun": (Heun(), 2, 0, 2.1e-4),
    "DPM-2": (DPM2(), 2, 0, 1.1e-4),
    "2S": (DPMpp2S(), 2, 0, 9e-5),
    "2M midpoint": (DPMpp2M(), 2, 0, 1.1e-4),
    "2M heun": (DPMpp2M("heun"), 2, 0, 1.7e-4),
    "3M exact3": (DPMpp3M("exact3"), 3, 6, 8e-7),
    "3M heun": (DPMpp3M(), 3, 1, 8e-7),
    "3M euler": (DPMpp3M("euler"), 2, 0, 5e-6),
    "3M as published": (DPMpp3M(as_published=True), 2, 0, 3.1e-5),
    "UniPC 1": (UniPC(1), 2, 0, 2.9e-4),
    "UniPC 2": (UniPC(2), 3, 0, 5e-6),
    "UniPC 3": (UniPC(3), 4, 0, 1.4e-7),
    "UniPC 2 bh1": (UniPC(2, variant="bh1"), 3, 0, 9e-6),
    "UniPC 3 bh1": (UniPC(3, variant="bh1"), 4, 0, 6e-8),
    "UniPC predictor 1": (UniPC(1, corrector=False), 1, 0, 1.1e-2),
    "UniPC predictor 2": (UniPC(2, corrector=False), 2, 0, 1.1e-4),
    "UniPC 3 predictor": (UniPC(3, corrector=False), 2, 0, 5e-6),
    "LMS 2": (LMS(2), 2, 0, 5e-4),
    "LMS 4": (LMS(), 2, 0, 9e-6),
    "LMS 3 heun": (LMS(3, "heun"), 3, 1, 4e-5),
    "LMS 4 rk4": (LMS(4, "rk4"), 4, 9, 4e-6),
    "DEIS 2": (DEIS(2), 2, 0, 2e-4),
    "DEIS 3": (DEIS(), 2, 0, 5e-6),
    "DEIS 3 heun": (DEIS(3, "heun"), 3, 1, 4e-7),
    "DEIS 4 rk4": (DEIS(4, "rk4"), 4, 9, 9e-8),
    "RK4": (RK4(), 4, 0, 5e-10),
}
THREE_POINTS = ("3M", "UniPC 2", "UniPC 3", "LMS 3", "LMS 4", "DEIS 3", "DEIS 4")


def levels(count):
    """Noise-to-signal ratios `(count + 1, 2)`: even in their logarithm, and as Karras et al."""
    ramp = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    root = HIGH ** (1 / 7) + ramp * (LOW ** (1 / 7) - HIGH ** (1 / 7))
    return torch.stack([HIGH * (LOW / HIGH) ** ramp, root**7], dim=1)


def walk(solver, schedule, count):
    """Return the two ends `(2, points)` in variance-exploding coordinates, and the net calls."""
    calls = []
    guess = OVERLAPPING.denoiser(schedule)

    def denoiser(x, time):
        calls.append(time)
        return guess(x, time)

    times = schedule.time_at(-2 * levels(count).log())
    alpha, _ = schedule.alpha_sigma(times)
    x = (alpha[0, :, None] * HIGH * POINTS)[:, None]
    end = sample(denoiser, x, times, solver, schedule)
    return end[:, 0] / alpha[-1, :, None], len(calls)


@pytest.fixture(scope="module")
def exact():
    high, low = EXPLODING.time_at(-2 * torch.tensor([HIGH, LOW], dtype=torch.float64).log())
    return OVERLAPPING.flow(HIGH * POINTS.reshape(1, 1, -1), EXPLODING, high, low)[0]


def slope(errors, counts=STEPS):
    """Order of convergence by least squares over the logarithms."""
    x = torch.tensor(counts, dtype=torch.float64).log()
    y = torch.tensor(errors, dtype=torch.float64).log()
    return float(-((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


@pytest.mark.parametrize("name", TABLE)
def test_order_error_and_net_calls(name, exact):
    solver, order, extra, largest = TABLE[name]
    assert solver.order == order
    errors = []
    for count in STEPS:
        end, calls = walk(solver, EXPLODING, count)
        errors.append((end - exact).abs().amax(1).tolist())
        assert calls == count * solver.net_calls + extra
    slack = 0.3 if name.startswith(THREE_POINTS) else 0.1  # theirs settle later
    even, karras = zip(*errors, strict=True)
    print(
        f"\n{name:20} order {order}  +{extra} calls  slope {slope(even):.2f} {slope(karras):.2f}  "
        f"errors {' '.join(f'{e:.1e}' for e in even)}"
    )
    assert slope(even) >= order - slack
    assert slope(karras) >= order - slack
    assert even[2] < largest


@pytest.mark.parametrize("name", TABLE)
def test_the_schedule_only_names_the_levels(name):
    """On half the circle and the straight path the same points come out, up to rounding."""
    solver = TABLE[name][0]
    reference, _ = walk(solver, EXPLODING, 32)
    for schedule in (HalfCircle(), StraightPath()):
        made, _ = walk(solver, schedule, 32)
        torch.testing.assert_close(made, reference, atol=1e-13, rtol=0)


@pytest.mark.parametrize("start", ["exact3", "heun"])
def test_third_order_is_third_order(start, exact):
    """Slope at least 2.9 from 64 steps on and an error below 1e-6 at 128, which peers lack."""
    made = [walk(DPMpp3M(start), EXPLODING, n)[0] for n in STEPS[1:]]
    even, karras = zip(*[(m - exact).abs().amax(1).tolist() for m in made], strict=True)
    assert slope(even, STEPS[1:]) >= 2.9
    assert slope(karras, STEPS[1:]) >= 2.9
    assert even[1] < 1e-6
    published = (walk(DPMpp3M(as_published=True), EXPLODING, 128)[0] - exact).abs().amax(1)
    assert float(published[0]) > 30 * even[1]


def test_rk4_keeps_its_order_from_pure_noise():
    """From alpha = 0 to sigma / alpha = 0.1 in even times; other solvers start with Euler there."""
    schedule = HalfCircle()
    end = 2 / math.pi * math.atan(LOW)
    x = POINTS.reshape(1, 1, -1)
    times = [torch.linspace(1, end, n + 1, dtype=torch.float64) for n in (16, 32, 64, 128)]
    exact = OVERLAPPING.flow(x, schedule, times[0][0], times[0][-1])
    errors = [
        float((sample(OVERLAPPING.denoiser(schedule), x, t, RK4(), schedule) - exact).abs().max())
        for t in times
    ]
    assert all(math.log2(a / b) > 3.9 for a, b in pairwise(errors))
    assert errors[-1] < 1e-9
