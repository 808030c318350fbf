"""Rates are a pure function of step and plan, and reach their end on machines that change pace."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import pairwise

import pytest

from audio_diffusion_pytorch.training import Plan, Planner, rate_factor
from audio_diffusion_pytorch.training.rates import Pace, seconds_per_step


def test_cosine_has_its_closed_form_after_the_warm_up():
    plan = Plan(1000)
    for step in (100, 250, 500, 999):
        expected = 0.5 * (1 + math.cos(math.pi * step / 1000))
        assert rate_factor(step, plan, 50) == pytest.approx(expected)
    assert rate_factor(1000, plan) == 0.0


def test_warm_up_is_linear_and_at_most_a_tenth_of_a_short_run():
    assert rate_factor(4, Plan(), 50) == pytest.approx(5 / 50)
    assert rate_factor(4, Plan(100), 50) == pytest.approx(
        5 / 10 * 0.5 * (1 + math.cos(math.pi * 0.04))
    )
    assert [rate_factor(s, Plan(100), 50, "constant") for s in (0, 24, 49, 99)] == [
        1 / 50, 25 / 50, 1.0, 1.0,
    ]  # fmt: skip


def test_a_moved_plan_keeps_the_rate_and_still_reaches_its_end():
    plan = Plan(1000)
    moved = plan.moved(400, 700)
    assert rate_factor(400, moved) == pytest.approx(rate_factor(400, plan))
    assert rate_factor(700, moved) == 0.0
    assert moved.progress(550) == pytest.approx(0.4 + 0.6 / 2)
    assert moved.moved(500, 1200).progress(500) == pytest.approx(moved.progress(500))
    assert Plan(**asdict(moved)) == moved


def test_seconds_per_step_leaves_out_the_first_steps_and_one_hiccup():
    durations = [5.0, 1.0, 0.5, 0.2, 0.1] + [0.1] * 14 + [3.0]
    assert seconds_per_step(durations) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="at least one"):
        seconds_per_step([])


def simulate(planner, seconds_of_step, limit, step=0, elapsed=0.0):
    """Runs the planner on a clock of our own; returns (steps, seconds, rate of the last step)."""
    planner.start(step, elapsed)
    while elapsed < limit and (planner.plan.total_steps is None or step < planner.plan.total_steps):
        elapsed += seconds_of_step(step, elapsed)
        step += 1
        planner.review(step, elapsed)
    return step, elapsed, rate_factor(step - 1, planner.plan)


def steady(seconds):
    """A machine whose every step takes as long."""
    return lambda _step, _elapsed: seconds


def test_a_steady_machine_uses_nine_tenths_of_its_time_on_the_first_plan():
    planner = Planner(None, 600.0)
    steps, seconds, rate = simulate(planner, steady(0.1), 600.0)
    assert steps == pytest.approx(5400, abs=2) and 539 <= seconds <= 541
    assert rate < 1e-6 and planner.plan.anchor_step == 0


@pytest.mark.parametrize("slower", [1.3, 2.0, 4.0])
@pytest.mark.parametrize("when", [0.2, 0.5, 0.8])
def test_a_machine_that_slows_down_still_ends_at_a_low_rate_in_time(slower, when):
    def pace(_step, elapsed):
        return 0.05 * (slower if elapsed > when * 600.0 else 1.0)

    _, seconds, rate = simulate(Planner(None, 600.0), pace, 600.0)
    assert seconds <= 600.0 + 0.05 * slower
    assert rate < 0.02


def test_a_slow_start_is_made_up_for():
    def pace(step, _elapsed):
        return 0.5 if step < 40 else 0.1

    steps, seconds, rate = simulate(Planner(None, 600.0), pace, 600.0)
    assert 0.8 * 600.0 < seconds <= 600.0 and steps > 4500 and rate < 1e-3


@pytest.mark.parametrize("faster", [3, 10, 60])
@pytest.mark.parametrize("when", [0.05, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("slow", [1.0, 0.1])
def test_a_machine_that_becomes_faster_uses_the_time_it_was_given(slow, when, faster):
    """Six minutes asked, six minutes used: an early slow pace is not taken for the whole run."""
    limit, rates = 360.0, []
    planner = Planner(None, limit)

    def pace(step, elapsed):
        rates.append(rate_factor(step, planner.plan))
        return slow / (faster if elapsed > when * limit else 1)

    _, seconds, rate = simulate(planner, pace, limit)
    assert 0.8 * limit <= seconds <= limit
    assert rate < 1e-3
    falls = [before - after for before, after in pairwise(rates[21:])]  # the plan is known
    steepest = math.pi / 2 / (0.9 * limit / slow)  # of the first, shortest plan
    assert all(0 <= fall < 1.01 * steepest for fall in falls)


def test_a_machine_faster_after_the_estimate_is_noticed_before_its_short_plan_ends():
    """Twenty slow steps, such as those of a compiler at work, and a plan of few steps."""
    steps, seconds, _ = simulate(
        Planner(None, 360.0), lambda step, _: 3.0 if step < 25 else 0.05, 360.0
    )
    assert 0.9 * 360 < seconds <= 360.0 and steps > 5000


@pytest.mark.parametrize("period", [10, 60, 100])
def test_a_machine_that_changes_all_the_time_neither_ends_early_nor_at_a_high_rate(period):
    planner, moves = Planner(None, 360.0), []

    def pace(_step, elapsed):
        if not moves or moves[-1] != planner.plan:
            moves.append(planner.plan)
        return 0.25 if elapsed // period % 2 == 0 else 0.05

    _, seconds, rate = simulate(planner, pace, 360.0)
    assert 0.8 * 360 <= seconds <= 360.25 and rate < 0.02
    assert len(moves) < 12


def test_a_plan_that_grew_is_kept_on_resume():
    def pace(_step, elapsed):
        return 0.5 if elapsed < 100 else 0.05

    first = Planner(None, 360.0)
    step, elapsed, _ = simulate(first, pace, 150.0)
    assert first.plan.anchor_step > 0
    second = Planner(None, 360.0, plan=Plan(**asdict(first.plan)))
    assert rate_factor(step, second.plan) == rate_factor(step, first.plan)
    ends = [simulate(p, pace, 360.0, step, elapsed)[:2] for p in (first, second)]
    assert ends[0] == ends[1] and ends[0][1] > 0.8 * 360


def test_pauses_are_shared_out_over_all_steps():
    pace = Pace(span=5.0)
    for step in range(1000):
        pace.add(0.1 + (10.0 if step % 250 == 249 else 0.0))
    assert pace.known and pace.seconds == pytest.approx(0.1 + 10 / 250, rel=0.1)
    for _ in range(60):
        pace.add(0.01)
    assert pace.seconds > 0.05, "60 steps are not 5 s yet"
    for _ in range(500):
        pace.add(0.01)
    assert pace.seconds == pytest.approx(0.01 + 40 / 1560, rel=0.1)


def test_validation_and_samples_every_so_often_do_not_spoil_the_end():
    def pace(step, _elapsed):
        return 0.1 + (4.0 if step % 250 == 249 else 0.0) + (20.0 if step % 1000 == 999 else 0.0)

    _, seconds, rate = simulate(Planner(None, 600.0), pace, 600.0)
    assert seconds <= 621.0 and rate < 0.02


def test_steps_too_slow_for_twenty_of_them_are_estimated_sooner():
    planner = Planner(None, 60.0)
    steps, seconds, rate = simulate(planner, steady(5.0), 60.0)
    assert 9 <= steps <= 12 and seconds <= 60.0 and rate < 0.1


def test_a_limit_in_steps_is_exact_where_time_allows_and_shrinks_where_not():
    planner = Planner(300, 600.0)
    assert simulate(planner, steady(0.1), 600.0)[0] == 300
    assert planner.plan == Plan(300)
    steps, seconds, rate = simulate(Planner(100_000, 60.0), steady(0.1), 60.0)
    assert steps < 600 and seconds <= 60.0 and rate < 1e-3


def test_without_a_time_limit_the_clock_plays_no_part():
    planner = Planner(50, None)
    assert simulate(planner, lambda step, _: float(step), math.inf)[0] == 50
    assert planner.plan == Plan(50)


def test_a_plan_from_a_checkpoint_is_kept_on_a_steady_machine():
    first = Planner(None, 600.0)
    simulate(first, steady(0.1), 300.0)
    second = Planner(None, 600.0, plan=first.plan)
    steps, _, _ = simulate(second, steady(0.1), 600.0, step=2000, elapsed=200.0)
    assert second.plan == first.plan and steps == first.plan.total_steps


def test_raising_the_limit_lays_the_plan_anew():
    planner = Planner(200, None, plan=Plan(200))
    planner.extend(100, 10.0)
    assert planner.plan == Plan(200)
    timed = Planner(None, 1200.0, plan=Plan(5400))
    timed.extend(5400, 540.0)
    assert timed.plan.total_steps == pytest.approx(11400, abs=2) and timed.plan.progress(5400) < 0.5
