"""UniPC: a multistep predictor, corrected by the guess that the next step needs anyway."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.exponential import (
    Levels,
    finish,
    first_order_step,
    gains,
    levels_between,
    step_levels,
)
from audio_diffusion_pytorch.diffusion.multistep import (
    Nodes,
    Past,
    moments,
    newton_weights,
    past_nodes,
    weigh,
)
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State
from audio_diffusion_pytorch.serialization import Recorded

Variant = Literal["bh1", "bh2"]


class UniPCMemory(NamedTuple):
    """What UniPC keeps of a step.

    Attributes:
        past: The guesses up to the start of that step, newest first.
        start: The (corrected) signal there.
        predicted: The signal handed on.
    """

    past: tuple[Past, ...]
    start: Tensor
    predicted: Tensor


class UniPC(Recorded):
    """Predict with the last `order` guesses; then redo the step with the guess made at its end.

    One net call a step: the guess at the predicted point both corrects that point and starts the
    next step, and is not made again at the corrected one. The last point is not corrected. What
    something else changed in between (a constraint) is left as that made it.

    With `order` points in reach both polynomials are integrated exactly, in lambda and on any
    spacing. Two of the integrals are shortened as published: a predictor with two points and a
    corrector with one take `B(h) / 2`. The first steps have fewer points to look back on. A step
    from pure noise or to clean is Euler's.

    Args:
        order: Points of the predictor, 1 to 3.
        corrector: Correct each step. It raises the order of convergence, `.order`, to `order + 1`,
            3 at most: the first step, with one point to look back on, leaves no more (where the
            guess hardly changes over that step, as from much noise, `order=3` shows 4 for long).
            Without it the first step leaves 2 at most.
        variant: `B(h)` of the shortened integrals: "bh2" is `1 - e^(-h)`, "bh1" is `h`.

    Raises:
        ValueError: If the order is out of range or the variant unknown.

    Source: Zhao et al. 2023, "UniPC", arXiv 2302.04867, algorithms 1 and 2 (UniC, UniP) for
    a net that predicts x0; theorem 3.1 for the order, for a start that has it.
    """

    order: int | None
    net_calls = 1

    def __init__(self, order: int = 2, corrector: bool = True, variant: Variant = "bh2") -> None:
        if order not in (1, 2, 3):
            raise ValueError(f"the order of UniPC must be 1, 2 or 3, got {order}")
        if variant not in get_args(Variant):
            raise ValueError(f"variant must be 'bh1' or 'bh2', got {variant!r}")
        self.points = order - 1
        self.corrector = corrector
        self.variant = variant
        self.order = min(order + 1, 3) if corrector else min(order, 2)

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; no noise is asked for."""
        del noise
        clean = denoiser(state.x, state.time)
        x: Tensor = state.x
        past: tuple[Past, ...] = ()
        if isinstance(state.memory, UniPCMemory):
            past = state.memory.past
            if self.corrector:
                x = self._correct(state, state.memory, clean, schedule)
        levels = step_levels(schedule, state)
        nodes = past_nodes(levels, past[: self.points])
        weights = newton_weights(self._integrals(levels, nodes, nodes.usable[1:]), nodes)
        change = weigh(weights, [point.value for point in past[: self.points]], clean)
        ahead = first_order_step(x, clean, levels) + levels.next_alpha * change
        ahead = ahead.to(x.dtype)
        past = (Past(clean, levels.alpha, levels.sigma), *past)[: self.points + 1]
        return finish(state, ahead, clean, UniPCMemory(past, x, ahead))

    def _correct(
        self, state: State, memory: UniPCMemory, clean: Tensor, schedule: NoiseSchedule
    ) -> Tensor:
        """Return the signal at `state.time`, its last step made again with the guess there."""
        origin, *older = memory.past
        levels = levels_between(origin.alpha, origin.sigma, *gains(schedule, state.time, state.x))
        before = past_nodes(levels, older)
        end = torch.ones_like(levels.width)
        nodes = Nodes([end, *before.places], [levels.inner, *before.usable])
        weights = newton_weights(self._integrals(levels, nodes, before.usable), nodes)
        change = weigh(weights, [clean, *(point.value for point in older)], origin.value)
        x = first_order_step(memory.start, origin.value, levels) + levels.next_alpha * change
        mine = levels.inner & (state.x == memory.predicted)
        return torch.where(mine, x, state.x).to(state.x.dtype)

    def _integrals(self, levels: Levels, nodes: Nodes, more: list[Tensor]) -> list[Tensor]:
        """Return `int u^j` over the step; the first as `B(h) / 2` where one node is all there is.

        Args:
            levels: The step.
            nodes: The points beside its start: as many integrals are wanted.
            more: Where those beyond the first are usable.
        """
        width = levels.safe_width
        short = (width if self.variant == "bh1" else -torch.expm1(-width)) / 2
        if not more:
            return [short]
        first, *others = moments(len(nodes.places), width)
        return [torch.where(more[0], first, short), *others]
