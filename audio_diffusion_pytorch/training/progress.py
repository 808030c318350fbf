"""What a person sees while a model trains: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0


def words_for(seconds: float) -> str:
    """A duration in words.

    >>> words_for(59.6), words_for(3700)
    ('1 min 00 s', '1 h 01 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Shows steps, loss and time left; silent unless enabled.

    Args:
        step: Steps done before.
        enabled: False in all processes but the first.
    """

    def __init__(self, step: int, enabled: bool = True) -> None:
        self.enabled = enabled
        self._bar: Any = None
        self._last_line = time.monotonic()
        if enabled and sys.stderr.isatty():
            form = "{desc} {n_fmt}/{total_fmt} |{bar}| {postfix}"
            self._bar = tqdm(initial=step, unit="step", bar_format=form, dynamic_ncols=True)
            self._bar.set_description_str("training", refresh=False)

    def update(self, step: int, total: int | None, loss: float, left: float | None) -> None:
        """Show a finished step.

        Args:
            step: Steps done.
            total: Steps of the whole run, None while unknown.
            loss: A recent mean loss.
            left: Seconds left, None while unknown.
        """
        if not self.enabled:
            return
        remaining = "" if left is None else f", {words_for(left)} left"
        if self._bar is not None:
            self._bar.total = total
            self._bar.set_postfix_str(f"loss {loss:.4f}{remaining}", refresh=False)
            self._bar.update(step - self._bar.n)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            print(f"step {step}/{total or '?'}: loss {loss:.4f}{remaining}", flush=True)

    def note(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if not self.enabled:
            return
        if self._bar is not None:
            self._bar.clear()
        print(text, flush=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
