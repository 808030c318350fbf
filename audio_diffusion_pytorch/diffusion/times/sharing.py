"""Which part of one batch of times is drawn, where a batch is split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

import numpy as np


class Share(NamedTuple):
    """Which part of one batch is drawn; `entropy` is the same for all of its parts."""

    entropy: tuple[int, ...]
    part: int
    parts: int

    def random(self) -> Any:
        """Return a numpy generator of the entropy: every part draws the same from it."""
        return np.random.default_rng(cast(Any, self.entropy))  # some old stubs want one int


_SHARE: ContextVar[Share | None] = ContextVar("share_of_a_batch_of_times", default=None)


def current_share() -> Share | None:
    """Return what `shared_strata` says, or None outside it."""
    return _SHARE.get()


@contextmanager
def shared_strata(seed: int, part: int, parts: int) -> Iterator[None]:
    """Within it, `Stratified` and `Sobol` draw part `part` of `parts` of one batch of times.

    For training loops: what every process and micro-batch of one update draws then falls into
    strata of its own, and depends on nothing but these numbers and the generators, so that a
    resumed run goes on exactly.

    >>> from audio_diffusion_pytorch.diffusion import Stratified
    >>> with shared_strata(seed=7, part=0, parts=4):
    ...     times = Stratified()(16)

    Args:
        seed: The same for all parts of a batch, another for the next batch; 0 or above.
        part: Which part, `0 <= part < parts`: `rank * accumulation + micro_batch`.
        parts: Processes times micro-batches. 1 shares with nobody.

    Raises:
        ValueError: If a number is out of its range.
    """
    if not 0 <= part < parts or seed < 0:
        raise ValueError(
            f"shared_strata needs 0 <= part < parts and seed >= 0, got part {part} of {parts} and "
            f"seed {seed}"
        )
    token = _SHARE.set(Share((seed,), part, parts))
    try:
        yield
    finally:
        _SHARE.reset(token)
