"""Solvers with noise: distributions, limits, noise and net calls, all against closed forms."""

import copy
import math
import pickle
from itertools import pairwise

import pytest
import torch

from audio_diffusion_pytorch.diffusion import solvers
from audio_diffusion_pytorch.diffusion.grids import ExponentialSchedule, LinearSchedule
from audio_diffusion_pytorch.diffusion.noise import BrownianNoise, GaussianNoise
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    HalfCircle,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.sampler import sample
from audio_diffusion_pytorch.diffusion.solvers import (
    Ancestral,
    DPMppSDE,
    EulerAncestral,
    PingPong,
)
from audio_diffusion_pytorch.nets import UNetV0
from audio_diffusion_pytorch.protocols import Solver, State

ETAS = [0.0, 0.5, 1.0]
STOCHASTIC = {
    "ancestral small": Ancestral("small"),
    "ancestral large": Ancestral("large"),
    **{f"euler ancestral {eta}": EulerAncestral(eta) for eta in ETAS},
    **{f"2M SDE {eta}": DPMppSDE(2, eta) for eta in ETAS},
    "2M SDE heun": DPMppSDE(2, form="heun"),
    **{f"3M SDE {eta}": DPMppSDE(3, eta) for eta in ETAS},
    "3M SDE as published": DPMppSDE(3, as_published=True),
}
ALL = {**STOCHASTIC, "ping-pong": PingPong()}


def over(named):
    return pytest.mark.parametrize("solver", named.values(), ids=named.keys())


def even(steps, start=1.0, end=0.0, items=1):
    """Even times, `(n + 1, items)`."""
    return torch.linspace(start, end, steps + 1, dtype=torch.float64)[:, None].expand(-1, items)


def no_noise(x, time, next_time):
    raise AssertionError("noise was asked for where none is added")


def unit_noise(x, time, next_time):
    return torch.ones_like(x)


# Distributions


@over(STOCHASTIC)
def test_mean_and_deviation_are_right_at_every_level(
    solver, gaussian_data, per_item, sensible_walks
):
    """Not only at the end: a solver that adds too little noise and keeps too much shows here.

    250 steps, unit-variance data; "large" variance has no claim where alpha is not shrinking.
    """
    walks = [
        (schedule, grid) for schedule, grid in sensible_walks
        if not (solver is ALL["ancestral large"] and isinstance(schedule, VarianceExploding))
    ]  # fmt: skip
    times = torch.stack([grid(251).double() for _, grid in walks], dim=1)
    schedule = per_item([schedule for schedule, _ in walks])
    errors, ratios = gaussian_data(0.5, 1.0).propagate(schedule, times, solver)
    assert errors.abs().max() < 1e-6
    assert (ratios - 1).abs().max() < 0.03


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("ancestral small", 1), ("ancestral large", 1), ("euler ancestral 0.5", 1),
        ("euler ancestral 1.0", 1), ("2M SDE 0.5", 1.7), ("2M SDE 1.0", 1.7), ("2M SDE heun", 1.7),
        ("3M SDE 1.0", 1.7), ("3M SDE as published", 1.6),
    ],
)  # fmt: skip
def test_the_error_of_the_deviation_falls_with_steps(name, slope, gaussian_data):
    """Per doubling by 2 for first-order noise, by 3 and more for the multistep SDE solvers."""
    walked = [
        gaussian_data(0.5, 0.5).propagate(HalfCircle(), even(n), ALL[name]) for n in (100, 200, 400)
    ]
    errors = [abs(float(ratios[-1]) - 1) for _, ratios in walked]
    assert all(math.log2(a / b) > slope - 0.1 for a, b in pairwise(errors))


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_ping_pong_with_the_consistency_map_is_exact_at_any_number_of_steps(
    steps, gaussian_data, per_item, schedules
):
    times = even(steps, items=len(schedules))
    data, schedule = gaussian_data(-0.4, 0.3), per_item(schedules)
    errors, ratios = data.propagate(schedule, times, PingPong(), consistency=True)
    torch.testing.assert_close(errors, torch.zeros_like(errors), atol=1e-9, rtol=0)
    torch.testing.assert_close(ratios, torch.ones_like(ratios), atol=1e-9, rtol=0)


def test_ping_pong_with_a_plain_denoiser_loses_variance(gaussian_data):
    """Why it is for consistency maps alone: what averaging took away does not come back."""
    lost = [
        float(gaussian_data(0.0, 0.5).propagate(HalfCircle(), even(n), PingPong())[1][-1])
        for n in (8, 128)
    ]
    assert 0.3 < lost[0] < lost[1] < 0.9


def test_large_variance_is_the_forward_steps_and_small_the_posteriors():
    """Ho et al. 2020, section 3.2, on betas written out."""
    betas = torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64)
    power = (1 - betas).cumprod(0)

    class Chain:
        def alpha_sigma(self, time):
            after = torch.cat([torch.ones(1, dtype=torch.float64), power])[
                (3 * time).round().long()
            ]
            return after.sqrt(), (1 - after).sqrt()

    time = torch.tensor([2 / 3], dtype=torch.float64)
    state = State(torch.zeros(1, 1, 1, dtype=torch.float64), time, time / 2)
    zero = torch.zeros_like(state.x)
    up = {
        variance: Ancestral(variance).step(lambda x, t: zero, state, Chain(), unit_noise).x.item()
        for variance in ("small", "large")
    }
    assert up["large"] == pytest.approx(math.sqrt(0.2))
    assert up["small"] == pytest.approx(math.sqrt((1 - power[0]) / (1 - power[1]) * 0.2))
    state = State(torch.ones_like(zero), time, time / 2)
    mean = (
        Ancestral().step(lambda x, t: 3 * torch.ones_like(x), state, Chain(), zero_noise).x.item()
    )
    of_clean = power[0].sqrt() * 0.2 / (1 - power[1])
    of_x = math.sqrt(0.8) * (1 - power[0]) / (1 - power[1])
    assert mean == pytest.approx(float(3 * of_clean + of_x))


def zero_noise(x, time, next_time):
    return torch.zeros_like(x)


# Limits and identities


@pytest.mark.parametrize("schedule", [HalfCircle(), StraightPath(), VarianceExploding()])
def test_first_order_solvers_with_full_noise_are_one_and_the_same(schedule, gaussian_data):
    """Euler ancestral, DDPM's posterior and the first step of the SDE solvers."""
    times = torch.tensor([0.9, 0.4], dtype=torch.float64)
    x, guess = torch.randn(1, 1, 16).double(), gaussian_data(0.2, 0.7).denoiser(schedule)
    walked = [
        sample(guess, x, times, solver, schedule, noise=BrownianNoise(schedule, 0))
        for solver in (EulerAncestral(), Ancestral("small"), DPMppSDE(2), DPMppSDE(3))
    ]
    for other in walked[1:]:
        torch.testing.assert_close(other, walked[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 2.0])
def test_euler_ancestral_is_euler_with_noise(eta, gaussian_data):
    guess, x = gaussian_data(0.3, 0.4).denoiser(HalfCircle()), torch.randn(1, 1, 16).double()
    made = [
        sample(guess, x, even(7)[:, 0], one, HalfCircle(), noise=BrownianNoise(HalfCircle(), 0))
        for one in (EulerAncestral(eta), solvers.Euler(eta))
    ]
    assert torch.equal(*made)


def test_without_noise_the_sde_solvers_are_the_deterministic_multistep_ones(gaussian_data):
    data, x = gaussian_data(0.3, 0.4), torch.randn(1, 1, 16).double()
    pairs = [
        (EulerAncestral(0.0), solvers.Euler()),
        (DPMppSDE(2, eta=0.0), solvers.DPMpp2M()),
        (DPMppSDE(2, eta=0.0, form="heun"), solvers.DPMpp2M(form="heun")),
        (DPMppSDE(3, eta=0.0), solvers.DPMpp3M(start="euler")),
        (DPMppSDE(3, eta=0.0, as_published=True), solvers.DPMpp3M("euler", as_published=True)),
    ]
    for schedule in (HalfCircle(), VarianceExploding()):
        for times in (LinearSchedule()(12).double(), ExponentialSchedule(schedule)(12).double()):
            for solver, plain in pairs:
                torch.testing.assert_close(
                    sample(data.denoiser(schedule), x, times, solver, schedule, noise=no_noise),
                    sample(data.denoiser(schedule), x, times, plain, schedule, noise=no_noise),
                    rtol=1e-11, atol=1e-11,
                )  # fmt: skip


@over(ALL)
def test_a_known_clean_signal_is_reached_from_any_level(solver, per_item, schedules):
    clean = torch.randn(len(schedules), 1, 8).double()
    for start in (1.0, 0.3):
        made = sample(
            lambda x, time: clean, torch.randn_like(clean), even(5, start, items=len(schedules)),
            solver, per_item(schedules), noise=GaussianNoise(),
        )  # fmt: skip
        torch.testing.assert_close(made, clean, rtol=1e-12, atol=1e-12)


def test_from_pure_noise_all_noise_is_new_and_at_the_clean_end_none_is_asked_for():
    time, middle, clean_end = (torch.tensor([v], dtype=torch.float64) for v in (1.0, 0.5, 0.0))
    clean = torch.full((1, 1, 4), 2.0).double()
    for solver in (EulerAncestral(), DPMppSDE(2), DPMppSDE(3), Ancestral(), PingPong()):
        begin = State(torch.randn_like(clean), time, middle)
        state = solver.step(lambda x, t: clean, begin, HalfCircle(), unit_noise)
        torch.testing.assert_close(state.x, math.sqrt(0.5) * (clean + 1))
        state = State(state.x, state.time, clean_end, state.index, state.clean, state.memory)
        state = solver.step(lambda x, t: clean, state, HalfCircle(), no_noise)
        torch.testing.assert_close(state.x, clean)
        assert state.index == 2
        assert torch.equal(state.clean, clean)
        assert torch.equal(state.time, clean_end)


def test_noise_scale_scales_the_new_noise_alone(gaussian_data):
    x, guess = torch.randn(1, 1, 8).double(), gaussian_data(0.0, 0.5).denoiser(HalfCircle())

    def walk(scale, noise):
        solver = DPMppSDE(2, noise_scale=scale)
        return sample(guess, x, even(6)[:, 0], solver, HalfCircle(), noise=noise)

    base, whole = walk(1.0, zero_noise), walk(1.0, unit_noise)
    torch.testing.assert_close(walk(0.3, unit_noise), base + 0.3 * (whole - base))
    torch.testing.assert_close(walk(0.0, no_noise), base)


# Calls, shapes, copies


@over(ALL)
def test_net_and_noise_calls(solver):
    """One of each a step, but no noise at the clean end, and none at all without new noise."""
    calls, draws = [], []

    def guess(x, time):
        calls.append(time)
        return 0.5 * x

    def noise(x, time, next_time):
        draws.append((time.item(), next_time.item()))
        return torch.randn_like(x)

    times = even(7)[:, 0]
    sample(guess, torch.randn(1, 1, 4).double(), times, solver, HalfCircle(), noise=noise)
    assert isinstance(solver, Solver)
    assert solver.order is None
    assert len(calls) == 7 * solver.net_calls == 7
    silent = getattr(solver, "eta", 1) == 0
    assert draws == ([] if silent else list(pairwise(times.tolist()))[:-1])


@over({name: solver for name, solver in ALL.items() if not name.endswith("0.5")})
def test_any_number_of_steps_stays_finite_on_every_schedule(solver, per_item, schedules):
    """1 to 1000 steps in float32, every second schedule over its whole range, the others inside."""
    x, items = torch.randn(len(schedules), 1, 4), torch.arange(len(schedules)) % 2
    for steps in (1, 2, 3, 50, 1000):
        whole, inside = even(steps), even(steps, 0.8, 0.1)
        for swapped in (0, 1) if steps < 1000 else (1,):
            times = torch.where(items == swapped, inside, whole).float()
            made = sample(lambda x, time: 0.7 * x.tanh(), x, times, solver, per_item(schedules))
            assert made.isfinite().all()
            assert made.dtype == torch.float32


@over(ALL)
def test_positions_at_levels_of_their_own_walk_as_if_alone(solver, gaussian_data):
    """Times `(n + 1, b, 1, t)`, one position standing still; the path of the noise per position."""
    schedule, x = HalfCircle(), torch.randn(2, 1, 5).double()
    starts = torch.tensor([1.0, 0.9, 0.5, 0.3, 0.0], dtype=torch.float64)
    times = even(4) * starts  # (5, 5)
    per_position = times[:, None, None, :].expand(5, 2, 1, 5)

    def guess(x, time):
        alpha, sigma = schedule.alpha_sigma(time)
        return alpha * x / (4 * alpha**2 + sigma**2)

    def walk(times):
        return sample(guess, x, times, solver, schedule, noise=BrownianNoise(schedule, [3, 4]))

    together = walk(per_position)
    for i in range(4):
        alone = walk(times[:, None, None, i : i + 1].expand(5, 2, 1, 5))
        torch.testing.assert_close(together[..., i], alone[..., i], rtol=1e-11, atol=1e-11)
    assert torch.equal(together[..., 4], x[..., 4])


@over(ALL)
def test_solvers_copy_and_pickle_and_keep_no_state(solver, gaussian_data):
    x, guess = torch.randn(1, 1, 8), gaussian_data(0.0, 0.5).denoiser(HalfCircle())
    walked = [
        sample(guess, x, even(5)[:, 0], one, HalfCircle(), noise=BrownianNoise(HalfCircle(), 1))
        for one in (solver, solver, copy.deepcopy(solver), pickle.loads(pickle.dumps(solver)))
    ]
    assert all(torch.equal(made, walked[0]) for made in walked[1:])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ancestral("medium"), 'variance must be "small" or "large", got \'medium\''),
        (lambda: EulerAncestral(-0.5), "eta must be at least 0 .*, got -0.5"),
        (lambda: EulerAncestral(math.nan), "eta must be at least 0"),
        (lambda: EulerAncestral(math.inf), "eta must be at least 0 .* and finite, got inf"),
        (lambda: DPMppSDE(4), "order must be 2 or 3, got 4"),
        (lambda: DPMppSDE(eta=-1.0), "eta must be at least 0 .*, got -1"),
        (lambda: DPMppSDE(eta=math.inf), "eta must be at least 0 .* and finite, got inf"),
        (lambda: DPMppSDE(noise_scale=-1.0), "noise_scale must be at least 0 and finite, got -1"),
        (lambda: DPMppSDE(noise_scale=math.inf), "noise_scale must be at least 0 and finite"),
        (lambda: DPMppSDE(form="ralston"), "form must be .*, got 'ralston'"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# The Brownian path


def test_twice_the_steps_follow_the_same_path_at_half_the_error_or_better(gaussian_data):
    """Strong convergence: each sample, not only their distribution, settles; unlike fresh noise."""
    schedule, data = HalfCircle(), gaussian_data(0.0, 0.5)
    grid, x = ExponentialSchedule(schedule), torch.randn(1, 1, 1000).double()

    def changes(solver, noise):
        ends = [
            sample(data.denoiser(schedule), x, grid(n + 2).double(), solver, schedule, noise=noise)
            for n in (16, 32, 64, 128)
        ]
        return [float((a - b).std()) for a, b in pairwise(ends)]

    for solver in (DPMppSDE(2), DPMppSDE(3)):
        one_path = changes(solver, BrownianNoise(schedule, 0))
        assert all(a / b > 1.95 for a, b in pairwise(one_path))
        assert one_path[-1] < 0.05 * data.std
        assert min(changes(solver, GaussianNoise())) > 0.5 * data.std


@over({name: ALL[name] for name in ("2M SDE 1.0", "3M SDE 1.0", "ancestral small", "ping-pong")})
def test_a_batch_is_its_items_bit_for_bit(solver, gaussian_data):
    schedule, seeds = HalfCircle(), [5, 6, 7, 8]
    guess, x = gaussian_data(0.1, 0.5).denoiser(schedule), torch.randn(4, 2, 33)
    for source in (BrownianNoise, lambda _, seeds: GaussianNoise(seeds=seeds)):
        walk = [even(6)[:, 0], solver, schedule]
        batch = sample(guess, x, *walk, noise=source(schedule, seeds))
        for i, seed in enumerate(seeds):
            alone = sample(guess, x[i : i + 1], *walk, noise=source(schedule, [seed]))
            assert torch.equal(alone, batch[i : i + 1])


def test_a_batch_is_its_items_with_a_unet():
    torch.manual_seed(0)
    net = UNetV0(dim=1, in_channels=2, channels=[8, 16], factors=[1, 2], items=[1, 1])
    schedule, x = HalfCircle(), torch.randn(4, 2, 32)

    def guess(x, time):
        return 0.5 * net(x, time.float())

    def walk(x, seeds):
        noise = BrownianNoise(schedule, seeds)
        return sample(guess, x, even(4)[:, 0], DPMppSDE(2), schedule, noise=noise)

    batch = walk(x, [1, 2, 3, 4])
    singles = torch.cat([walk(x[i : i + 1], [i + 1]) for i in range(4)])
    torch.testing.assert_close(batch, singles, atol=1e-5, rtol=0)
    assert (batch[0] - batch[1]).abs().max() > 0.1
