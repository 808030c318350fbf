"""`train.debug_numerics`: who made a number that is not finite, and how the blocks are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.numerics import BlockHealth, NumericsWatch

from .upkeep import Upkeep

LISTED = 10
"""Largest activations and gradients that are listed."""


class NumericsDebugger:
    """Looks into the modules of a model while it trains.

    Every so often the smallest, largest and mean output of each block and its deviation are
    logged as `health/{block}/min` and so on. A step that fails is repeated, with the same clips
    and the same noise, with every module watched.

    Args:
        model: Not wrapped, not compiled.
        every: Steps between two looks at the blocks.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        self.model, self.every = model, every
        self.health = BlockHealth(model)
        self.batches: list[Clip] = []
        """Of the step under way, in order; the loop puts them here."""

    def look(self, step: int) -> AbstractContextManager[Any]:
        """The context of a forward pass of the step that follows `step` finished ones."""
        return self.health if (step + 1) % self.every == 0 else nullcontext()

    def log(self, upkeep: Upkeep) -> None:
        """Write what was seen of the blocks in the step that just ended, if it was looked at."""
        step = upkeep.state.step
        if step % self.every == 0 and upkeep.processes.is_main:
            figures = {f"health/{name}": value for name, value in self.health.figures().items()}
            for logger in upkeep.loggers:
                logger.scalars(step, figures)

    def locate(
        self, repeat: Callable[[Clip, int], Tensor], say: Callable[[str], None]
    ) -> tuple[str, str]:
        """Repeat the step under way with every module watched.

        Args:
            repeat: Runs one of its batches forward and back, given the batch and its number;
                returns its losses.
            say: Takes the lists of the largest activations and gradients, line by line.

        Returns:
            Who made the trouble, a clause for an error message, and the beginning of its remedy,
            with a comma behind it; or nothing.
        """
        finite = True
        with NumericsWatch(self.model) as watch:
            for number, batch in enumerate(self.batches):
                finite = finite and bool(repeat(batch, number).isfinite().all())
                if watch.culprit is not None:
                    break
        _list(say, "the largest numbers that modules said", watch.largest(LISTED))
        _list(say, "the largest gradients of weights", watch.largest_gradients(LISTED))
        culprit = watch.culprit
        if culprit is not None:
            return culprit.text, f"look into {culprit.name}, "
        if watch.first_met or not finite:
            met = f", first met at {watch.first_met}" if watch.first_met else ""
            return (
                f"no module made them{met}",
                "look for a division, root or logarithm in the loss, ",
            )
        return "repeated, the step was finite: the machine computes it differently each time", ""


def _list(say: Callable[[str], None], title: str, found: list[tuple[str, float]]) -> None:
    say(f"{title}:")
    for name, size in found:
        say(f"  {size:10.4g}  {name or 'the model itself'}")
