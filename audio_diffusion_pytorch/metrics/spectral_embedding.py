"""A small description of a sound: how loud each band is, and how much that moves.

No network and no weights: the same numbers everywhere, for sounds of any length and sample rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.pitch_salience import band_power
from audio_diffusion_pytorch.ops.stft import power_spectrogram

FRAME = 0.064  # s: long enough to part two low bands, short enough to follow an attack


@dataclass(frozen=True)
class SpectralEmbedding:
    """Features `(b, 3 bands)` of sounds `(b, c, t)`: the statistics of their levels in bands.

    For each of `bands` equally wide steps of the mel scale: the mean level over time, its standard
    deviation, and the root mean square of its change from frame to frame. Levels are in dB, with
    0 dB a full-scale sine in the band and nothing lower than `floor_db`; features are divided by
    the root of `bands`, so that a gain of g dB is at a Frechet distance of `g^2`. The power of the
    channels is averaged. Frames last 64 ms, half overlapped; a rest that fills none is left out.

    The bands lie at fixed frequencies, so that sounds of different sample rates compare: above the
    Nyquist frequency there is only the floor.

    Args:
        sample_rate: Hz, of the sounds given.
        bands: How many; features need a few times more sounds than there are of them.
        low: Lowest frequency in Hz.
        high: Highest frequency in Hz.
        floor_db: Lowest level in dB.

    Raises:
        ValueError: If a number is out of range.

    Source: mel scale of O'Shaughnessy 1987, "Speech communication", p. 150.
    """

    sample_rate: int
    bands: int = 32
    low: float = 40.0
    high: float = 16000.0
    floor_db: float = -80.0

    def __post_init__(self) -> None:
        """Refuse bands that hold nothing."""
        if self.sample_rate < 1 or self.bands < 1:
            raise ValueError(
                "an embedding needs sample_rate >= 1 Hz and bands >= 1, got "
                f"{self.sample_rate} and {self.bands}"
            )
        if not 0 < self.low < self.high or self.low >= self.sample_rate / 2:
            raise ValueError(
                "the bands must obey 0 < low < high and low < sample_rate / 2, got "
                f"low={self.low:g} and high={self.high:g} Hz at {self.sample_rate} Hz"
            )

    @torch.no_grad()
    def __call__(self, audio: Tensor) -> Tensor:
        """Return features `(b, 3 * bands)` of `audio (b, c, t)` or `(b, t)`, float32 at least.

        Raises:
            ValueError: If the shape is another one or there are no samples.
        """
        if audio.ndim not in (2, 3) or audio[:1].numel() == 0:
            raise ValueError(
                "audio must be (b, t) or (b, c, t) with at least one sample, "
                f"got shape {tuple(audio.shape)}"
            )
        exact = audio.to(torch.promote_types(audio.dtype, torch.float32))
        few = max(1, 2**22 // exact[0].numel())  # items at a time, so that memory stays small
        return torch.cat([self._describe(some) for some in exact.split(few)])

    def _describe(self, audio: Tensor) -> Tensor:
        level = self._levels(audio)
        change = level.diff(dim=1) if level.shape[1] > 1 else torch.zeros_like(level)
        parts = [level.mean(1), level.std(1, correction=0), change.square().mean(1).sqrt()]
        features: Tensor = torch.cat(parts, 1) / math.sqrt(self.bands)
        return features

    def _levels(self, audio: Tensor) -> Tensor:
        """Levels in dB `(b, frames, bands)`."""
        hop = max(1, round(FRAME * self.sample_rate / 2))
        power = power_spectrogram(audio, 2 * hop, hop)
        if power.ndim == 4:
            power = power.mean(1)
        if audio.shape[-1] >= 2 * hop:  # padded frames only where there are no others
            power = power[:, 1 : audio.shape[-1] // hop]
        edges = self.edges().to(power)
        width = self.sample_rate / (2 * hop)
        bands = band_power(power.flatten(0, 1), width, edges[:-1], edges[1:])
        bands = bands.unflatten(0, power.shape[:2])
        # The Hann window spreads a sine's bin, a quarter of its power, over 1.5 bins.
        levels: Tensor = 10 * (4 / 1.5 * bands).clamp_min(10 ** (self.floor_db / 10)).log10()
        return levels

    def edges(self) -> Tensor:
        """Return the edges of the bands in Hz, `(bands + 1,)`."""
        low, high = (2595 * math.log10(1 + f / 700) for f in (self.low, self.high))
        mels = torch.linspace(low, high, self.bands + 1, dtype=torch.float64)
        edges: Tensor = 700 * (10 ** (mels / 2595) - 1)
        return edges
