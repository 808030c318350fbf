"""Which times a sampler visits, from noise to clean (upstream calls this a schedule)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Schedule(nn.Module):
    """Base of the grids: subclass it and give `forward(num_steps, device)`."""

    def forward(self, num_steps: int, device: torch.device) -> Tensor:
        """Return falling times `(num_steps,)`."""
        del num_steps, device
        raise TypeError(f"{type(self).__name__} must define forward(num_steps, device)")


class LinearSchedule(Schedule):
    """Times in equal steps from `start` down to `end`, both included.

    Args:
        start: Highest time, 1 (noise) or below.
        end: Lowest time, 0 (clean) or above.

    >>> LinearSchedule()(3, torch.device("cpu"))
    tensor([1.0000, 0.5000, 0.0000])
    """

    def __init__(self, start: float = 1.0, end: float = 0.0) -> None:
        super().__init__()
        self.start, self.end = start, end

    def forward(self, num_steps: int, device: torch.device | str = "cpu") -> Tensor:
        """Return falling times `(num_steps,)` on `device`."""
        return torch.linspace(self.start, self.end, num_steps, device=device)
