"""What every solver keeps to beside its order: ends, net calls, shapes, types and memory."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from scipy.integrate import quad

from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING
from audio_diffusion_pytorch.diffusion.exponential import (
    ancestral_split,
    levels_between,
    step_levels,
    time_within,
)
from audio_diffusion_pytorch.diffusion.multistep import (
    Nodes,
    Past,
    moments,
    newton_weights,
    past_nodes,
    phi,
)
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    HalfCircle,
    Laplace,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.sampler import renoise, sample
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
from audio_diffusion_pytorch.diffusion.solvers.deis import falling_moments
from audio_diffusion_pytorch.protocols import Solver, State

# name: (solver, net calls of n steps between levels, to clean, from pure noise to clean)
DETERMINISTIC = {
    "euler": (Euler(), lambda n: n, lambda n: n, lambda n: n),
    "heun": (Heun(), lambda n: 2 * n, lambda n: 2 * n - 1, lambda n: 2 * n - 2),
    "heun_published": (Heun(True), lambda n: 2 * n, lambda n: 2 * n - 1, lambda n: 2 * n - 2),
    "dpm2": (DPM2(), lambda n: 2 * n, lambda n: 2 * n - 1, lambda n: 2 * n - 2),
    "2s": (DPMpp2S(), lambda n: 2 * n, lambda n: 2 * n - 1, lambda n: 2 * n - 2),
    "2m": (DPMpp2M(), lambda n: n, lambda n: n, lambda n: n),
    "2m_heun": (DPMpp2M("heun"), lambda n: n, lambda n: n, lambda n: n),
    "3m": (DPMpp3M("exact3"), lambda n: n + 6, lambda n: n + 6, lambda n: n + 6),
    "3m_heun": (DPMpp3M(), lambda n: n + 1, lambda n: n + 1, lambda n: n + 1),
    "3m_euler": (DPMpp3M("euler"), lambda n: n, lambda n: n, lambda n: n),
    "3m_published": (DPMpp3M(as_published=True), lambda n: n, lambda n: n, lambda n: n),
    "unipc1": (UniPC(1), lambda n: n, lambda n: n, lambda n: n),
    "unipc2": (UniPC(), lambda n: n, lambda n: n, lambda n: n),
    "unipc3": (UniPC(3), lambda n: n, lambda n: n, lambda n: n),
    "unipc3_predictor": (UniPC(3, corrector=False), lambda n: n, lambda n: n, lambda n: n),
    "lms": (LMS(), lambda n: n, lambda n: n, lambda n: n),
    "lms_heun": (LMS(3, "heun"), lambda n: n + 1, lambda n: n + 1, lambda n: n + 1),
    "lms_rk4": (LMS(4, "rk4"), lambda n: n + 9, lambda n: n + 9, lambda n: n + 9),
    "deis": (DEIS(), lambda n: n, lambda n: n, lambda n: n),
    "deis_heun": (DEIS(3, "heun"), lambda n: n + 1, lambda n: n + 1, lambda n: n + 1),
    "deis_rk4": (DEIS(3, "rk4"), lambda n: n + 6, lambda n: n + 6, lambda n: n + 6),
    "rk4": (RK4(), lambda n: 4 * n, lambda n: 4 * n - 3, lambda n: 4 * n - 3),
}
STOCHASTIC = {
    "euler_eta": (Euler(0.5), 1),
    "dpm2_eta": (DPM2(1.0), 2),
    "2s_eta": (DPMpp2S(1.0), 2),
}
SOLVERS = {name: row[0] for name, row in (DETERMINISTIC | STOCHASTIC).items()}
SAME_CODE = (
    "heun_published",
    "3m_euler",
    "3m_published",
    "unipc3_predictor",
    "lms_heun",
    "deis_heun",
    "deis_rk4",
)
SCHEDULE = HalfCircle()


def even(steps, start=1.0, end=0.0, dtype=torch.float64):
    return torch.linspace(start, end, steps + 1, dtype=dtype)


def no_noise(x, time, next_time):
    raise AssertionError("a deterministic step asked for noise")


class Counting:
    """A denoiser that counts its calls."""

    def __init__(self, denoiser):
        self.denoiser, self.calls = denoiser, 0

    def __call__(self, x, time):
        self.calls += 1
        return self.denoiser(x, time)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_net_calls_are_as_stated_and_no_noise_is_asked_for(name):
    solver, between, to_clean, from_noise = DETERMINISTIC[name]
    x = torch.randn(2, 1, 5, dtype=torch.float64)
    for start, end, stated in ((0.9, 0.2, between), (0.9, 0.0, to_clean), (1.0, 0.0, from_noise)):
        for steps in (6, 11):
            denoiser = Counting(OVERLAPPING.denoiser(SCHEDULE))
            sample(denoiser, x, even(steps, start, end), solver, SCHEDULE, noise=no_noise)
            assert denoiser.calls == stated(steps)
    denoiser = Counting(OVERLAPPING.denoiser(SCHEDULE))
    sample(denoiser, x, even(1), solver, SCHEDULE)
    assert denoiser.calls == 1  # a single step from noise to clean is Euler's everywhere
    assert isinstance(solver, Solver)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_new_noise_is_asked_for_once_a_step_but_not_at_the_clean_end(name):
    solver, per_step = STOCHASTIC[name]
    asked = []

    def noise(x, time, next_time):
        asked.append((float(time[0]), float(next_time[0])))
        return torch.randn_like(x)

    denoiser = Counting(OVERLAPPING.denoiser(SCHEDULE))
    times = even(5, 0.9)
    sample(denoiser, torch.randn(2, 1, 5).double(), times, solver, SCHEDULE, noise=noise)
    assert asked == list(zip(times[:-2].tolist(), times[1:-1].tolist(), strict=True))
    assert denoiser.calls == 5 * per_step - (per_step - 1)
    assert solver.order is None


class Remembering:
    """A schedule that looks each time up once: a walk asks for most of its times often."""

    def __init__(self, schedule):
        self.schedule, self.known, self.time_at = schedule, {}, schedule.time_at

    def alpha_sigma(self, time):
        key = time.numpy().tobytes()
        if key not in self.known:
            self.known[key] = self.schedule.alpha_sigma(time)
        return self.known[key]


@pytest.fixture(scope="module")
def every_schedule(schedules, per_item):
    return Remembering(per_item(schedules))


@pytest.mark.parametrize("name", SOLVERS)
def test_any_number_of_steps_on_every_schedule(name, schedules, every_schedule):
    """From time 1 to time 0, each item on a schedule of its own; 1000 steps in float32."""
    for steps in (1, 2, 3, 50, 1000):
        if steps == 1000 and name in SAME_CODE:
            continue
        dtype = torch.float32 if steps == 1000 else torch.float64
        times = even(steps, dtype=dtype)[:, None].expand(-1, len(schedules))
        alpha, sigma = every_schedule.alpha_sigma(times[0])
        spread = (alpha**2 * OVERLAPPING.std**2 + sigma**2).sqrt()
        x = spread[:, None, None] * torch.linspace(-2, 2, 9, dtype=dtype).expand(
            len(times[0]), 1, 9
        )
        made = sample(OVERLAPPING.denoiser(every_schedule), x, times, SOLVERS[name], every_schedule)
        assert made.dtype == dtype
        assert bool(made.isfinite().all()), steps
    if name in STOCHASTIC or name in SAME_CODE:
        return
    for i, schedule in enumerate(schedules):  # 1000 steps, and even times are none for Laplace
        if not isinstance(schedule, Laplace):
            exact = OVERLAPPING.flow(x[i : i + 1], schedule, times[0, i], times[-1, i])
            torch.testing.assert_close(made[i : i + 1].double(), exact, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_guess_that_never_changes_is_followed_exactly(name):
    """At the clean end it comes out bit for bit; in between the noise of the start is there."""
    clean, noise = torch.randn(2, 2, 1, 16, dtype=torch.float64)
    for schedule in (HalfCircle(), StraightPath(), VarianceExploding()):
        alpha, sigma = schedule.alpha_sigma(torch.tensor([0.9, 0.4], dtype=torch.float64))
        x = alpha[0] * clean + sigma[0] * noise
        for steps in (1, 4, 30):
            made = sample(lambda x, t: clean, x, even(steps, 0.9), SOLVERS[name], schedule)
            assert torch.equal(made, clean)
            if name in DETERMINISTIC:
                times = even(steps, 0.9, 0.4)
                made = sample(lambda x, t: clean, x, times, SOLVERS[name], schedule)
                torch.testing.assert_close(made, alpha[1] * clean + sigma[1] * noise)


@pytest.mark.parametrize("name", SOLVERS)
def test_types_are_kept_and_half_precision_stays_near(name):
    x = torch.linspace(-2, 2, 8, dtype=torch.float64).reshape(2, 1, 4)
    seen = []
    guess = OVERLAPPING.denoiser(SCHEDULE)

    def denoiser(x, time):
        seen.append(x.dtype)
        return guess(x, time)

    def noise(x, time, next_time):
        return torch.full_like(x, 0.5)

    reference = sample(denoiser, x, even(20), SOLVERS[name], SCHEDULE, noise=noise)
    for dtype, near in ((torch.float32, 1e-4), (torch.bfloat16, 0.1), (torch.float16, 0.02)):
        seen.clear()
        made = sample(denoiser, x.to(dtype), even(20), SOLVERS[name], SCHEDULE, noise=noise)
        assert made.dtype == dtype
        assert set(seen) == {dtype}
        torch.testing.assert_close(made.double(), reference, atol=near, rtol=0)


def times_of_their_own():
    """Five steps of six walks: to clean or not, from pure noise or not, ending early, waiting."""
    return torch.stack(
        [
            even(5),
            even(5, 0.9, 0.1),
            torch.tensor([0.8, 0.8, 0.8, 0.5, 0.3, 0.1]).double(),
            torch.tensor([1.0, 1.0, 0.7, 0.5, 0.2, 0.0]).double(),
            torch.tensor([0.6, 0.3, 0.0, 0.0, 0.0, 0.0]).double(),
            torch.tensor([0.9, 0.7, 0.7, 0.4, 0.4, 0.0]).double(),
        ],
        dim=1,
    )


@pytest.mark.parametrize("shape", ["items", "positions"])
@pytest.mark.parametrize("name", SOLVERS)
def test_times_of_their_own_walk_as_if_alone(name, shape):
    times = times_of_their_own()
    draws = torch.randn(6, 6, dtype=torch.float64)  # (index of the step, walk)

    def along(item):
        walks = slice(None) if item is None else slice(item, item + 1)
        own = times[:, walks]

        def noise(x, time, next_time):
            steps = ((own[:-1] == time.flatten()) & (own[1:] == next_time.flatten())).all(1)
            return draws[steps.nonzero()[0, 0], walks].reshape(x.shape)

        values = torch.linspace(-1, 1, 6, dtype=torch.float64)[walks]
        if shape == "items":
            x, grid = values.reshape(-1, 1, 1), own
        else:
            x, grid = values.reshape(1, 1, -1), own[:, None, None]
        solver, guess = SOLVERS[name], OVERLAPPING.denoiser(SCHEDULE)
        made = sample(guess, x, grid, solver, SCHEDULE, noise=noise)
        return made.flatten()

    together = along(None)
    for item in range(6):
        torch.testing.assert_close(together[item : item + 1], along(item), atol=1e-13, rtol=0)


@pytest.mark.parametrize("name", SOLVERS)
def test_copies_make_the_same_steps_and_keep_their_settings(name):
    x, times = torch.randn(1, 1, 4, dtype=torch.float64), even(6, 0.9)

    def noise(x, time, next_time):
        return torch.ones_like(x)

    guess = OVERLAPPING.denoiser(SCHEDULE)
    made = sample(guess, x, times, SOLVERS[name], SCHEDULE, noise=noise)
    for copied in (copy.deepcopy(SOLVERS[name]), pickle.loads(pickle.dumps(SOLVERS[name]))):
        assert vars(copied) == vars(SOLVERS[name])
        assert torch.equal(sample(guess, x, times, copied, SCHEDULE, noise=noise), made)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_memory_is_in_the_state_and_going_back_up_clears_it(name):
    """Two walks of one solver, step by step in turn, and a walk that restarts from a new level."""
    solver, guess = SOLVERS[name], OVERLAPPING.denoiser(SCHEDULE)
    times = even(6, 0.9, 0.3)[:, None]

    def step(state, here, there):
        state = replace(state, time=times[here], next_time=times[there])
        return solver.step(guess, state, SCHEDULE, no_noise)

    first, second = torch.randn(2, 1, 1, 4, dtype=torch.float64)
    states = [State(x, times[0], times[0]) for x in (first, second)]
    for i in range(6):
        states = [step(state, i, i + 1) for state in states]
    for state, x in zip(states, (first, second), strict=True):
        assert state.index == 6
        assert torch.equal(state.time, times[6])
        assert torch.equal(state.x, sample(guess, x, times[:, 0], solver, SCHEDULE))

    up = renoise(
        replace(states[0], next_time=times[2]), SCHEDULE, lambda x, a, b: torch.ones_like(x)
    )
    again = [up, State(up.x, times[2], times[2])]
    for i in range(2, 6):
        again = [step(state, i, i + 1) for state in again]
    assert torch.equal(again[0].x, again[1].x)


def test_clean_is_the_guess_at_the_start_of_the_step():
    guess = OVERLAPPING.denoiser(SCHEDULE)
    x, times = torch.randn(1, 1, 4).double(), even(3, 0.9, 0.3)[:, None]
    for solver in SOLVERS.values():
        state = State(x, times[0], times[1])
        made = solver.step(guess, state, SCHEDULE, lambda x, a, b: torch.zeros_like(x))
        assert torch.equal(made.clean, guess(x, times[0]))


def test_unipc_corrects_what_it_predicted_and_leaves_the_rest():
    """Of a signal whose first half a constraint changed, only the second half is corrected."""
    guess, solver = OVERLAPPING.denoiser(SCHEDULE), UniPC()
    times = even(3, 0.9, 0.3)[:, None]
    state = State(torch.linspace(-1, 1, 4).double().reshape(1, 1, 4), times[0], times[0])
    for i in range(2):
        state = replace(state, time=times[i], next_time=times[i + 1])
        state = solver.step(guess, state, SCHEDULE, no_noise)
    state = replace(state, next_time=times[3])
    change = torch.tensor([0.1, 0.1, 0.0, 0.0], dtype=torch.float64)
    changed = solver.step(guess, replace(state, x=state.x + change), SCHEDULE, no_noise)
    plain = solver.step(guess, state, SCHEDULE, no_noise)
    assert torch.equal(changed.memory.start[..., :2], state.x[..., :2] + 0.1)
    assert torch.equal(changed.memory.start[..., 2:], plain.memory.start[..., 2:])
    assert bool((plain.memory.start != state.x).all())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Euler(-0.1), "eta must be at least 0"),
        (lambda: Euler(float("inf")), "eta must be at least 0 .* and finite, got inf"),
        (lambda: DPM2(float("nan")), "eta must be at least 0 .*, got nan"),
        (lambda: DPM2(float("inf")), "eta .* finite"),
        (lambda: DPMpp2S(float("inf")), "eta .* finite"),
        (lambda: DPMpp2S(-1), "eta must be at least 0"),
        (lambda: DPMpp2M("trapezoid"), "midpoint' or 'heun', got 'trapezoid'"),
        (lambda: DPMpp3M("rk4"), "exact3, heun, euler, got 'rk4'"),
        (lambda: UniPC(4), "1, 2 or 3, got 4"),
        (lambda: UniPC(variant="bh3"), "'bh1' or 'bh2', got 'bh3'"),
        (lambda: LMS(5), "LMS must be 1, 2, 3 or 4, got 5"),
        (lambda: LMS(start="exact3"), "euler, heun, rk4, got 'exact3'"),
        (lambda: DEIS(0), "DEIS must be 1, 2, 3 or 4, got 0"),
        (lambda: DEIS(start=None), "euler, heun, rk4, got None"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# The arithmetic they share


@pytest.mark.parametrize("width", [1e-9, 1e-4, 0.5, 0.999, 1.0, 1.001, 4.0, 30.0, 90.0])
def test_phi_and_moments_are_their_integrals(width):
    def integral(kernel):
        value, _ = quad(kernel, 0, 1, epsabs=0, epsrel=1e-12, points=[1 - min(1, 1 / width)])
        return value

    h = torch.tensor([width], dtype=torch.float64)
    factorials = (1, 1, 2, 6)
    for k, value in enumerate(phi(4, -h), 1):
        kernel = integral(
            lambda u, k=k: torch.exp(-h * (1 - u)).item() * u ** (k - 1) / factorials[k - 1]
        )
        assert float(value) == pytest.approx(kernel, rel=1e-11)
    for j, value in enumerate(moments(3, h), 1):
        kernel = integral(lambda u, j=j: width * torch.exp(-h * (1 - u)).item() * u**j)
        assert float(value) == pytest.approx(kernel, rel=1e-11)
    for j, value in enumerate(falling_moments(3, h), 1):
        kernel = integral(lambda u, j=j: torch.exp(-h * (1 - u)).item() * (1 - u) ** j)
        assert float(value) == pytest.approx(kernel, rel=1e-11)
    for formula in (moments, falling_moments):
        single = torch.stack(formula(3, h.float())).double()
        torch.testing.assert_close(single, torch.stack(formula(3, h)), rtol=4e-6, atol=0)


def test_newton_weights_integrate_polynomials_exactly_as_far_as_points_reach():
    """Item 0 has three usable points, item 1 two, item 2 one and item 3 none."""
    places = torch.tensor([-0.7, -1.9, -2.2], dtype=torch.float64)
    reach = torch.tensor([3, 2, 1, 0])
    nodes = Nodes(
        [place.expand(4) for place in places], [reach > index for index in range(len(places))]
    )
    integrals = [torch.full((4,), value, dtype=torch.float64) for value in (0.31, 0.17, 0.05)]
    weights = torch.stack(newton_weights(integrals, nodes))
    for degree, integral in enumerate(integrals, 1):
        made = (weights * (places**degree)[:, None]).sum(0)
        right = reach >= degree
        torch.testing.assert_close(made[right], integral[right])
        assert bool((made[~right] != integral[~right]).all())
    assert not weights[:, 3].any()


def test_points_at_infinite_or_no_distance_are_left_out():
    def gains(*log_ratios):
        level = torch.tensor(log_ratios, dtype=torch.float64)
        return torch.sigmoid(level), torch.sigmoid(-level)

    inf = float("inf")
    here, there = gains(0.0, 0.0, 0.0, 0.0, -inf), gains(0.5, 0.5, 0.5, 0.0, 0.5)
    past = [
        Past(torch.zeros(5), *gains(-1.0, -inf, 0.0, -1.0, -inf)),
        Past(torch.zeros(5), *gains(-3.0, -inf, -1.0, -3.0, -inf)),
    ]
    nodes = past_nodes(levels_between(*here, *there), past)
    assert nodes.usable[0].tolist() == [True, False, False, False, False]
    assert nodes.usable[1].tolist() == [True, False, False, False, False]
    torch.testing.assert_close(nodes.places[0][0], torch.tensor(-2.0).double())
    torch.testing.assert_close(nodes.places[1][0], torch.tensor(-6.0).double())
    ratio = past_nodes(levels_between(*here, *there), past, in_noise_ratio=True)
    expected = -(torch.e - 1) / (1 - torch.e**-0.5)  # (rho_1 - rho) / (rho' - rho)
    torch.testing.assert_close(ratio.places[0][0], torch.tensor(expected).double())


def test_levels_of_a_step_and_a_time_within_it():
    times = torch.tensor([[1.0, 0.6, 0.6], [0.5, 0.3, 0.0]], dtype=torch.float64)
    state = State(torch.zeros(3, 1, 4).double(), times[0], times[1])
    levels = step_levels(SCHEDULE, state)
    assert levels.inner.flatten().tolist() == [False, True, False]
    half_log_snr = SCHEDULE.log_snr(times[:, 1]) / 2
    torch.testing.assert_close(levels.width[1, 0, 0], half_log_snr[1] - half_log_snr[0])
    assert levels.width.isinf().flatten().tolist() == [True, False, True]
    within = time_within(SCHEDULE, state, levels, 0.5)
    torch.testing.assert_close(SCHEDULE.log_snr(within[1]) / 2, half_log_snr.mean())
    assert torch.equal(within[[0, 2]], times[0, [0, 2]])


def test_heun_adds_at_most_the_change_of_the_guess_however_wide_the_step():
    """A guess of 0 at the start and 1 at the end: of 1 at most `1 - (1 - e^(-h)) / h` comes in."""
    schedule = VarianceExploding(1e7)
    for ratio in (1.001, 1.5, 4.0, 8.0, 1e3, 1e6):
        times = schedule.time_at(-2 * torch.tensor([ratio, 1.0], dtype=torch.float64).log())
        start, width = float(times[0]), float(torch.tensor(ratio, dtype=torch.float64).log())

        def guess(x, time, start=start):
            return (time < start)[:, None, None].to(x)

        x = torch.zeros(1, 1, 1, dtype=torch.float64)
        added = float(sample(guess, x, times, Heun(), schedule))
        assert 0 < added < min(1, width)
        assert added == pytest.approx(1 - (1 - 1 / ratio) / width, rel=1e-6)
        published = float(sample(guess, x, times, Heun(as_published=True), schedule))
        assert published == pytest.approx((ratio - 1) / 2, rel=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 2.0])
def test_the_ancestral_split_keeps_the_level_and_is_that_of_ddpm(eta):
    """`up` is the posterior deviation of DDPM times eta, cut where all noise is new."""
    time, next_time = torch.tensor([[0.5, 0.9, 1.0, 0.5], [0.49, 0.2, 0.9, 0.0]]).double()
    levels = levels_between(*SCHEDULE.alpha_sigma(time), *SCHEDULE.alpha_sigma(next_time))
    down, up = ancestral_split(levels, eta)
    torch.testing.assert_close(down.next_sigma**2 + up**2, levels.next_sigma**2)
    kept = levels.alpha**2 / levels.next_alpha**2
    posterior = (levels.next_sigma**2 / levels.sigma**2 * (1 - kept)).sqrt()
    torch.testing.assert_close(up, torch.minimum(eta * posterior, levels.next_sigma))
    if eta == 1:  # in float32 too, what is kept of the noise is told from nothing
        wide = levels_between(*(torch.tensor(v) for v in (4.5e-5, 1.0, 0.9, 0.4)))
        kept = ancestral_split(wide, 1.0)[0].next_sigma
        assert float(kept) == pytest.approx(0.4 * 4.5e-5 / 0.9 * 0.4, rel=1e-4)


def test_a_line_in_the_log_snr_is_integrated_exactly():
    """A guess that depends on lambda alone, as a straight line: solvers that draw one are exact."""

    def line(x, time):
        return (0.3 + 0.2 * SCHEDULE.log_snr(time) / 2)[:, None, None].expand_as(x)

    times = torch.tensor([0.9, 0.8, 0.55, 0.5, 0.3], dtype=torch.float64)
    x = torch.randn(1, 1, 4, dtype=torch.float64)
    _, sigma = SCHEDULE.alpha_sigma(times)
    start, end = SCHEDULE.log_snr(times[[0, -1]]) / 2
    # int e^l (0.3 + 0.2 l) dl = e^l (0.1 + 0.2 l)
    grown = torch.exp(end) * (0.1 + 0.2 * end) - torch.exp(start) * (0.1 + 0.2 * start)
    exact = sigma[-1] * (x / sigma[0] + grown)
    torch.testing.assert_close(sample(line, x, times, DPMpp3M("heun"), SCHEDULE), exact)
    for solver in (Euler(), DPMpp2S(), DPMpp2M("heun")):
        assert float((sample(line, x, times, solver, SCHEDULE) - exact).abs().max()) > 1e-4
