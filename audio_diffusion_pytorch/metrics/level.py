"""How loud sounds are, and whether generated ones are as loud as real ones.

Levels are in dBFS with 0 dB at an rms or peak of 1: a full-scale sine has a peak of 0 dB and an rms
of -3.01 dB. Nothing is lower than -200 dB, so that silence has a level one can average.
"""

from __future__ import annotations

import torch
from torch import Tensor

LOWEST = 1e-10  # -200 dB


def rms_db(audio: Tensor) -> Tensor:
    """Root-mean-square level `(b,)` in dBFS of `(b, ..., t)`, over all channels together."""
    return _decibels(_rms(audio))


def peak_db(audio: Tensor) -> Tensor:
    """Largest magnitude `(b,)` in dBFS of `(b, ..., t)`: over 0 dB a file of integers clips."""
    return _decibels(_rows(audio).abs().amax(1))


def crest(audio: Tensor) -> Tensor:
    """Crest factor `(b,)` in dB of `(b, ..., t)`: peak over rms; 0 square wave, 3.01 sine."""
    return peak_db(audio) - rms_db(audio)


def dc_offset(audio: Tensor) -> Tensor:
    """Mean sample value `(b,)` of `(b, ..., t)`: of the channel where it is furthest from 0."""
    means = _rows(audio).reshape(audio.shape[0], -1, audio.shape[-1]).mean(-1)
    return means.gather(1, means.abs().argmax(1, keepdim=True))[:, 0]


def silent_share(audio: Tensor, threshold_db: float = -60.0) -> float:
    """Share in 0..1 of the sounds `(b, ..., t)` whose rms is under `threshold_db` dBFS."""
    return float((rms_db(audio) < threshold_db).double().mean())


class LevelRatio:
    """Level of generated sounds over that of real ones, in dB; answers `Metric`.

    The two levels are means of the sounds' rms values, so that loud sounds count most and a single
    silent one does not decide. 0 is right, +6.02 is twice the amplitude.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every sound."""
        self.generated = 0.0
        self.real = 0.0
        self.num_generated = 0
        self.num_real = 0

    def update(self, generated: Tensor, real: Tensor) -> None:
        """Add `generated` (b, c, t) and `real` (n, c, t) sounds; b and n may differ."""
        self.generated += float(_rms(generated).double().sum())
        self.real += float(_rms(real).double().sum())
        self.num_generated += len(generated)
        self.num_real += len(real)

    def compute(self) -> float:
        """Return the ratio in dB; NaN before the first `update`."""
        if not self.num_generated or not self.num_real:
            return float("nan")
        levels = [self.generated / self.num_generated, self.real / self.num_real]
        generated, real = _decibels(torch.tensor(levels, dtype=torch.float64)).tolist()
        return float(generated - real)


def _rows(audio: Tensor) -> Tensor:
    """One row a sound `(b, n)`, in at least single precision."""
    if audio.ndim < 2 or audio[:1].numel() == 0:
        raise ValueError(
            "audio must be (b, t) or (b, c, t) with at least one sample, "
            f"got shape {tuple(audio.shape)}"
        )
    if audio.dtype not in (torch.float32, torch.float64):
        audio = audio.float()
    return audio.reshape(audio.shape[0], -1)


def _rms(audio: Tensor) -> Tensor:
    return _rows(audio).square().mean(1).sqrt()


def _decibels(amplitude: Tensor) -> Tensor:
    return 20 * amplitude.clamp(min=LOWEST).log10()
