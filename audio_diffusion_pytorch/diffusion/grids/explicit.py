"""A grid written out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import NoiseSchedule

from .base import Schedule, check_num_steps, falling, times_at


class ListSchedule(Schedule):
    """Exactly these times, noisiest first.

    The sampler asks for one time more than it makes steps: a list of 7 times is walked with
    `num_steps=6`. Another number is refused, never served by dropping some, unless `interpolate`
    asks for as many times as wanted along the line through the list.

    Args:
        times: Falling values in 0..1; end with 0 for a clean result.
        interpolate: Whether the list may be resampled to other numbers of times.

    Raises:
        ValueError: If the list is empty, leaves 0..1 or does not fall; on a call, if it holds
            another number of times.
    """

    def __init__(self, times: Sequence[float] | Tensor, interpolate: bool = False) -> None:
        super().__init__()
        values = _values(times, "times")
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise ValueError(
                "times must lie in 0..1 (1 is pure noise), got "
                f"{float(values.min()):.4g}..{float(values.max()):.4g}"
            )
        _check_falls(values, "times must fall from noise (1) to clean (0)")
        self.times: tuple[float, ...] = tuple(values.tolist())
        self.interpolate = interpolate

    @classmethod
    def from_log_snrs(
        cls,
        log_snrs: Sequence[float] | Tensor,
        noise_schedule: NoiseSchedule,
        interpolate: bool = False,
    ) -> ListSchedule:
        """Return the grid of these log-SNRs, rising; end with `inf` for a clean result.

        Args:
            log_snrs: Nats, none below the noisiest level of the schedule.
            noise_schedule: What the times mean.
            interpolate: As for the class.

        Raises:
            ValueError: If the list is empty, does not rise, or holds a level noisier than the
                schedule has.
        """
        levels = _values(log_snrs, "log-SNRs")
        _check_falls(-levels, "log-SNRs must rise from noise to clean", -1)
        return cls(times_at(noise_schedule, levels), interpolate)

    @classmethod
    def from_sigmas(
        cls,
        sigmas: Sequence[float] | Tensor,
        noise_schedule: NoiseSchedule,
        interpolate: bool = False,
    ) -> ListSchedule:
        """Return the grid of these noise-to-signal ratios, falling; end with 0 for a clean result.

        Args:
            sigmas: `sigma / alpha`, at least 0, none above the noisiest level of the schedule.
            noise_schedule: What the times mean.
            interpolate: As for the class.

        Raises:
            ValueError: If the list is empty, negative, does not fall, or holds a level noisier
                than the schedule has.
        """
        levels = _values(sigmas, "sigmas")
        if not bool((levels >= 0).all()):
            raise ValueError(f"sigmas must be at least 0, got {float(levels.min()):.4g}")
        _check_falls(levels, "sigmas must fall from noise to clean")
        return cls(times_at(noise_schedule, -2 * levels.log()), interpolate)

    def forward(self, num_steps: int, device: torch.device | str = "cpu") -> Tensor:
        """Return the times `(num_steps,)` on `device`."""
        check_num_steps(num_steps)
        times = torch.tensor(self.times, dtype=torch.float64)
        held = len(times)
        if num_steps != held:
            if not self.interpolate or held < 2:
                raise ValueError(
                    f"this grid holds {held} times, for {held - 1} steps, got a request for "
                    f"{num_steps} times ({num_steps - 1} steps): ask for {held - 1} steps, or pass "
                    "interpolate=True"
                )
            places = torch.linspace(0, held - 1, num_steps, dtype=torch.float64)
            index = places.floor().clamp(max=held - 2).long()
            times = torch.lerp(times[index], times[index + 1], places - index)
        return falling(times, device)


def _values(values: Sequence[float] | Tensor, name: str) -> Tensor:
    if isinstance(values, Tensor):
        values = values.detach().cpu().tolist()
    tensor = torch.tensor(values, dtype=torch.float64)
    if tensor.ndim != 1 or not len(tensor) or bool(tensor.isnan().any()):
        raise ValueError(f"a grid needs a list of at least one of its {name}, got {values}")
    return tensor


def _check_falls(values: Tensor, wanted: str, sign: int = 1) -> None:
    stuck = (values.diff() >= 0).nonzero()
    if len(stuck):
        first = int(stuck[0])
        here, there = (sign * float(v) for v in values[first : first + 2])
        raise ValueError(f"{wanted}, got {here:.6g} and then {there:.6g} at place {first + 2}")
