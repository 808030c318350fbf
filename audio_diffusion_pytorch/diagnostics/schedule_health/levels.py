"""Noise levels as a listener counts them: sound over noise in dB, at the data's own level."""

from __future__ import annotations

from math import log, log10

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import NoiseSchedule

PURE_NOISE_DB = -25.0
"""Sound under the noise by this much is as good as none. Stable Diffusion's -23 dB is known to leak
the mean into the start; the schedules of the literature that do not end at -38 dB and less."""
LEAKING_DB = -10.0
"""From here on the start that sampling makes up, pure noise, is heard to lack what is missing."""
CLEAN_DB = 40.0
"""Noise under the sound by this much is as good as none."""
DB_A_NAT = 10 / log(10)
LIMIT_DB = 200.0
"""Levels beyond are held here: a clean signal and pure noise lie infinitely far out."""


def snr_db(schedule: NoiseSchedule, times: Tensor, std: float = 1.0) -> Tensor:
    """Return signal over noise at times `(n,)` in dB, float64, held in -200..200.

    Args:
        schedule: What the times mean.
        times: In 0..1.
        std: Root mean square of the data.
    """
    gain = 20 * log10(std) if std > 0 else -torch.inf
    levels = DB_A_NAT * schedule.log_snr(times.detach().to("cpu", torch.float64))
    return (levels + gain).clamp(-LIMIT_DB, LIMIT_DB)


def in_words(level: float) -> str:
    """Return a level as a place beside the noise, such as "6.2 dB over the noise"."""
    if level <= -100:
        return "all gone in pure noise"
    if level >= 100:
        return "clean"
    return f"{abs(level):.1f} dB {'over' if level > 0 else 'under'} the noise"
