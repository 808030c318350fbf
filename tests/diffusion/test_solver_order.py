"""The solvers have the order they state, measured against the exact flow of a mixture.

Two beds on the overlapping mixture: from sigma / alpha = 10 down to 0.1, and from 0.7 to 0.01. On
the first the guess hardly changes over the first steps, so that an order which they cost may not
show; on the second it shows. Neither comes to the clean end, where every solver makes one Euler
step. `pytest -s` prints the table. Both grids walk at once, as two items with times of their own.
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

STEPS = (64, 128, 256)
NOISY, LATE = (10.0, 0.1), (0.7, 0.01)  # sigma / alpha at the start and the end
POINTS = torch.linspace(-2, 2, 21, dtype=torch.float64)
EXPLODING = VarianceExploding(20.0)

# name: (solver, stated order, net calls beyond n times net_calls, largest error of 128 even steps)
TABLE = {
    "Euler": (Euler(), 1, 0, 1.1e-2),
    "Heun": (Heun(), 2, 0, 1.2e-4),
    "Heun as published": (Heun(as_published=True), 2, 0, 2.1e-4),
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
    "UniPC 3": (UniPC(3), 3, 0, 1.4e-7),
    "UniPC 2 bh1": (UniPC(2, variant="bh1"), 3, 0, 9e-6),
    "UniPC 3 bh1": (UniPC(3, variant="bh1"), 3, 0, 6e-8),
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


def levels(count, bed):
    """Noise-to-signal ratios `(count + 1, 2)`: even in their logarithm, and as Karras et al."""
    high, low = bed
    ramp = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    root = high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))
    return torch.stack([high * (low / high) ** ramp, root**7], dim=1)


def walk(solver, schedule, count, bed=NOISY):
    """Return the two ends `(2, points)` in variance-exploding coordinates, and the net calls."""
    calls = []
    guess = OVERLAPPING.denoiser(schedule)

    def denoiser(x, time):
        calls.append(time)
        return guess(x, time)

    times = schedule.time_at(-2 * levels(count, bed).log())
    alpha, _ = schedule.alpha_sigma(times)
    x = (alpha[0, :, None] * bed[0] * POINTS)[:, None]
    end = sample(denoiser, x, times, solver, schedule)
    return end[:, 0] / alpha[-1, :, None], len(calls)


@pytest.fixture(scope="module")
def exact():
    """The ends of the exact flow `(1, points)`, by bed."""
    ends = {}
    for bed in (NOISY, LATE):
        high, low = EXPLODING.time_at(-2 * torch.tensor(bed, dtype=torch.float64).log())
        ends[bed] = OVERLAPPING.flow(bed[0] * POINTS.reshape(1, 1, -1), EXPLODING, high, low)[0]
    return ends


def slope(errors):
    """Order of convergence by least squares over the logarithms."""
    x = torch.tensor(STEPS, dtype=torch.float64).log()
    y = torch.tensor(errors, dtype=torch.float64).log()
    return float(-((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def errors_of(solver, bed, exact):
    """Return the largest errors for all of `STEPS`, on even and on Karras's levels."""
    made = [walk(solver, EXPLODING, count, bed)[0] for count in STEPS]
    even, karras = zip(*[(m - exact[bed]).abs().amax(1).tolist() for m in made], strict=True)
    return even, karras


def slack(solver):
    """How far a slope may be from the order: more for long histories, which settle later."""
    return 0.3 if solver.net_calls == 1 and solver.order >= 3 else 0.1


@pytest.mark.parametrize("name", TABLE)
def test_order_error_and_net_calls(name, exact):
    solver, order, extra, largest = TABLE[name]
    assert solver.order == order
    even, karras = errors_of(solver, NOISY, exact)
    print(
        f"\n{name:20} order {order}  +{extra} calls  slope {slope(even):.2f} {slope(karras):.2f}  "
        f"errors {' '.join(f'{e:.1e}' for e in even)}"
    )
    assert slope(even) >= order - slack(solver)
    assert slope(karras) >= order - slack(solver)
    assert even[1] < largest
    assert walk(solver, EXPLODING, 32)[1] == 32 * solver.net_calls + extra


@pytest.mark.parametrize("name", TABLE)
def test_the_order_does_not_rest_on_a_start_in_noise(name, exact):
    """From sigma / alpha = 0.7 every slope is the stated order: no less, and no more."""
    solver, order, *_ = TABLE[name]
    even, karras = errors_of(solver, LATE, exact)
    print(f"\n{name:20} order {order}  slope {slope(even):.2f} {slope(karras):.2f}")
    assert abs(slope(even) - order) <= slack(solver)
    assert abs(slope(karras) - order) <= slack(solver)


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
    for bed in (NOISY, LATE):
        even, karras = errors_of(DPMpp3M(start), bed, exact)
        assert slope(even) >= 2.9
        assert slope(karras) >= 2.9
        published, _ = errors_of(DPMpp3M(as_published=True), bed, exact)
        assert published[1] > 20 * even[1]
    noisy, _ = errors_of(DPMpp3M(start), NOISY, exact)
    assert noisy[1] < 1e-6


def test_rk4_keeps_its_order_from_pure_noise():
    """From alpha = 0 to sigma / alpha = 0.1 in even times; other solvers start with Euler there."""
    schedule = HalfCircle()
    end = 2 / math.pi * math.atan(0.1)
    x = POINTS.reshape(1, 1, -1)
    times = [torch.linspace(1, end, n + 1, dtype=torch.float64) for n in (16, 32, 64, 128)]
    exact = OVERLAPPING.flow(x, schedule, times[0][0], times[0][-1])
    errors = [
        float((sample(OVERLAPPING.denoiser(schedule), x, t, RK4(), schedule) - exact).abs().max())
        for t in times
    ]
    assert all(math.log2(a / b) > 3.9 for a, b in pairwise(errors))
    assert errors[-1] < 1e-9
