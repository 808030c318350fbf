"""Learning rates: warm-up, then a cosine that ends with the run, even if only minutes are known."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

ESTIMATE_STEPS = 20
"""Steps that are timed before the length of a run with a time limit is estimated."""

EARLY = 0.8
"""A run that would end before this share of its time limit is made longer."""

SETTLED = 0.1
"""Share of the time limit that passes between two moves of a plan, but for one about to end."""


@dataclass(frozen=True)
class Plan:
    """Where a run ends. Together with the step it fixes the learning rate; checkpoints store it.

    Progress runs from 0 to 1. A plan that was moved in mid-run starts at `anchor_step` with
    `anchor_progress`, so that the rate never jumps and still reaches its end.

    Attributes:
        total_steps: Steps of the whole run; None: not yet known, the first steps are being timed.
        anchor_step: The step at which the plan was last moved.
        anchor_progress: The progress at that step, 0..1.
    """

    total_steps: int | None = None
    anchor_step: int = 0
    anchor_progress: float = 0.0

    def progress(self, step: int) -> float:
        """The share of the schedule done after `step` steps, 0..1."""
        if self.total_steps is None:
            return 0.0
        share = (step - self.anchor_step) / max(1, self.total_steps - self.anchor_step)
        return min(1.0, max(0.0, self.anchor_progress + (1.0 - self.anchor_progress) * share))

    def moved(self, step: int, total_steps: int) -> Plan:
        """The plan that goes on from `step` at the same rate and ends at `total_steps`."""
        if step == 0 or self.total_steps is None:
            return Plan(max(total_steps, step + 1))
        return Plan(max(total_steps, step + 1), step, self.progress(step))


def rate_factor(
    step: int,
    plan: Plan,
    warmup_steps: int = 0,
    schedule: Literal["cosine", "constant"] = "cosine",
) -> float:
    """The factor 0..1 on the learning rate of the update that follows `step` finished steps.

    A pure function of its arguments, so a resumed run has the same rates. The warm-up climbs as
    `(step + 1) / warmup_steps`; the cosine is `(1 + cos(pi * progress)) / 2` (Loshchilov and
    Hutter 2017, arXiv 1608.03983, equation 5, without restarts). Under the cosine the warm-up
    takes at most a tenth of the run.

    >>> [round(rate_factor(step, Plan(8)), 2) for step in (0, 4, 8)]
    [1.0, 0.5, 0.0]
    """
    if schedule == "constant":
        return min(1.0, (step + 1) / max(1, warmup_steps))
    if plan.total_steps is not None:
        warmup_steps = min(warmup_steps, plan.total_steps // 10)
    climb = min(1.0, (step + 1) / max(1, warmup_steps))
    return climb * 0.5 * (1.0 + math.cos(math.pi * plan.progress(step)))


def seconds_per_step(durations: Sequence[float]) -> float:
    """The mean wall time of a step, in seconds, from the first steps of a run.

    The first quarter is left out (threads, caches and compilation warm up), and so is the slowest
    of the rest (one hiccup).

    Args:
        durations: Wall time of each step from the first on, waiting for data included, seconds.

    Raises:
        ValueError: No duration was given.
    """
    if not durations:
        raise ValueError("seconds_per_step needs at least one measured step, got none")
    kept = sorted(durations[len(durations) // 4 :])
    kept = kept[:-1] if len(kept) > 2 else kept
    return max(1e-9, sum(kept) / len(kept))


@dataclass
class Pace:
    """How long steps take of late, pauses such as validations shared out over all steps.

    The mean of the last steps, at least 20 and `span` seconds of them, so that a machine which
    becomes faster is noticed at once. What takes more than 4 times as long as they do is a pause;
    pauses are rare, so theirs is the mean over the whole session.

    Attributes:
        span: Seconds that the last steps should cover.
    """

    span: float
    _last: deque[float] = field(default_factory=deque)
    _sum: float = 0.0
    _paused: float = 0.0
    _steps: int = 0

    def add(self, seconds: float) -> None:
        """Take the duration of a step, whatever came between it and the one before included."""
        last = self._last
        usual = 4.0 * self._sum / len(last) if len(last) >= 5 else math.inf
        self._steps += 1
        self._paused += max(0.0, seconds - usual)
        last.append(min(seconds, usual))
        self._sum += last[-1]
        while len(last) > ESTIMATE_STEPS and self._sum - last[0] >= self.span:
            self._sum -= last.popleft()

    @property
    def known(self) -> bool:
        """Whether enough steps were seen to tell."""
        return len(self._last) >= ESTIMATE_STEPS

    @property
    def seconds(self) -> float:
        """Seconds a step."""
        return max(1e-9, self._sum / len(self._last) + self._paused / self._steps)


@dataclass
class Planner:
    """Fits the plan to the time limit. Reads no clock itself: it is told the elapsed seconds.

    With a time limit the run's length is estimated after 20 steps (sooner if they take a tenth of
    the limit), aiming at 90 % of the limit; the rest is for validation, samples and checkpoints.
    Later the plan is moved, at an unchanged rate, only if the run would end after the limit or
    before 80 % of it. A machine that becomes slower, by its mean pace since the last move, still
    ends at a low learning rate; one that becomes faster, by its pace of late, uses the time it was
    given. A plan is moved at most once in a tenth of the limit, or once more when its end is that
    near: what it was made of may have been a mixture of the old pace and the new. `max_steps` is
    never exceeded. Whoever moves the plan stores it in a checkpoint, so a resumed run has the same
    rates up to the next move.

    Attributes:
        max_steps: Limit in steps, or None.
        max_seconds: Limit in seconds of training, or None.
        plan: The current plan.
    """

    max_steps: int | None
    max_seconds: float | None
    plan: Plan = field(default_factory=Plan)
    _durations: list[float] = field(default_factory=list)
    _before: float = 0.0
    _mark: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        """Start from the limit in steps where no plan was given."""
        if self.plan.total_steps is None and self.max_steps is not None:
            self.plan = Plan(self.max_steps)
        self._pace = Pace(0.02 * (self.max_seconds or 0.0))

    def start(self, step: int, elapsed: float) -> None:
        """Begin timing at `step`, after `elapsed` seconds of training before a resume."""
        self._before, self._mark = elapsed, (step, elapsed)

    def extend(self, step: int, elapsed: float) -> None:
        """Lay the plan anew over the whole run because its limits were changed on resume.

        The rate may jump: a finished cosine goes back to where a longer one would stand.
        """
        total = self.max_steps
        if self.max_seconds is not None and step > 0 and elapsed > 0.0:
            left = max(0.0, 0.95 * self.max_seconds - elapsed)
            within = step + int(left * step / elapsed)
            total = within if total is None else min(total, within)
        self.plan = Plan(total)

    def review(self, step: int, elapsed: float) -> bool:
        """Take the time of a finished step and move the plan if it is due.

        Args:
            step: Steps finished.
            elapsed: Seconds of training so far.

        Returns:
            Whether the plan was moved.
        """
        if self.max_seconds is None or self._mark is None:
            return False
        total, spent = self.plan.total_steps, elapsed - self._before
        self._before = elapsed
        self._pace.add(spent)
        if total is None or step <= ESTIMATE_STEPS:
            self._durations.append(spent)
        if total is None:
            slow = len(self._durations) > 2 and elapsed - self._mark[1] > 0.1 * self.max_seconds
            if len(self._durations) < ESTIMATE_STEPS and not slow:
                return False
            return self._move(step, elapsed, seconds_per_step(self._durations), share=0.9)
        if step >= total or (step != ESTIMATE_STEPS and step % max(1, total // 100) != 0):
            return False
        return self._fit(step, elapsed, total - step, self.max_seconds)

    def _fit(self, step: int, elapsed: float, left: int, limit: float) -> bool:
        """Move the plan if the `left` steps would end too late or too early."""
        since_step, since = self._mark or (0, 0.0)
        mean = (elapsed - since) / max(1, step - since_step)
        if step == ESTIMATE_STEPS:
            mean = seconds_per_step(self._durations)
        lately = self._pace.seconds if self._pace.known else mean
        due = step == ESTIMATE_STEPS or elapsed - since >= SETTLED * limit
        if due and elapsed + left * min(mean, lately) > limit:
            return self._move(step, elapsed, mean, share=0.95)
        due = due or (self._pace.known and left * lately < SETTLED * limit)
        early = elapsed + left * lately < EARLY * limit
        if due and early and step + left != self.max_steps:
            return self._move(step, elapsed, lately, share=0.95)
        return False

    def _move(self, step: int, elapsed: float, pace: float, share: float) -> bool:
        limit = self.max_seconds or 0.0
        left = max(share * limit - elapsed, 0.5 * (limit - elapsed), 0.0)
        total = step + max(1, int(left / pace))
        if self.max_steps is not None:
            total = min(total, self.max_steps)
        if total == self.plan.total_steps:
            return False
        self.plan = self.plan.moved(step, total)
        self._mark = (step, elapsed)
        return True
