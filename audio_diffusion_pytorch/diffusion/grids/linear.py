"""Times in equal steps."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Schedule, check_num_steps


class LinearSchedule(Schedule):
    """Times in equal steps from `start` down to `end`, both included.

    Args:
        start: Highest time, 1 (noise) or below.
        end: Lowest time, 0 (clean) or above.

    Raises:
        ValueError: If not `0 <= end < start <= 1`; on a call, if there are no steps.

    >>> LinearSchedule()(3, torch.device("cpu"))
    tensor([1.0000, 0.5000, 0.0000])
    """

    def __init__(self, start: float = 1.0, end: float = 0.0) -> None:
        super().__init__()
        if not 0 <= end < start <= 1:
            raise ValueError(
                "a grid falls from noise (1) to clean (0): it needs 0 <= end < start <= 1, got "
                f"start={start} and end={end}"
            )
        self.start, self.end = start, end

    def forward(self, num_steps: int, device: torch.device | str = "cpu") -> Tensor:
        """Return falling times `(num_steps,)` on `device`."""
        check_num_steps(num_steps)
        return torch.linspace(self.start, self.end, num_steps, device=device)
