"""The short-time Fourier transform as a space to diffuse in: exact, and spread over bins."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.serialization import Recorded


class STFT(Recorded, nn.Module):
    """Complex short-time spectra as `window` real rows, one frame per `hop` samples.

    Overlapping frames hold each sample `window / hop` times, so a model's errors are averaged on
    the way back; in exchange there are as many times more numbers than samples. A real frame of
    `window` samples has as many real numbers in its spectrum: row 0 is the zero frequency, rows
    `2k - 1` and `2k` are the real and imaginary parts of bin `k`, the last row is the Nyquist
    frequency. The square-root Hann windows are scaled so that energy is kept where all frames
    overlap: white noise of unit variance has rows of variance `hop / window`.

    The inverse is the least-squares one, exact for any length: what the windows let through of
    each sample is divided out, also at the outer edges, for which no extra frame is spent.

    Shapes: `encode` `(b, channels, t)` -> `(b, channels * window, ceil(t / hop))`; `decode` the
    other way, to `frames * hop` samples or the `length` asked for.

    Args:
        window: Samples of a frame, and rows per channel; even.
        hop: Samples between frames; divides `window` into at least 2 parts.
        channels: Audio channels.
        sample_rate: Hz, if it should be remembered; the transform does not depend on it.

    Raises:
        ValueError: If window and hop do not fit, or a signal has other channels.

    Source: Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform",
    eq. 6 (the least-squares inverse).
    """

    def __init__(
        self,
        window: int = 512,
        hop: int = 256,
        channels: int = 1,
        sample_rate: int | None = None,
    ) -> None:
        super().__init__()
        if window < 4 or hop < 1 or window % 2 or window % hop or window // hop < 2:
            raise ValueError(
                "STFT wants an even window of at least 4 samples and a hop that divides it into 2 "
                f"parts or more, got window={window} and hop={hop}: try window={2 * max(2, hop)}"
            )
        self.window, self.hop, self.channels = window, hop, channels
        self.sample_rate = sample_rate
        self.latent_channels = channels * window
        self.downsample_factor = hop
        self.reach = window - hop  # samples a frame covers beyond its own, at most, on one side

    def encode(
        self,
        x: Tensor,
        *,
        sample: bool = False,  # noqa: ARG002  an exact transform has nothing to draw
        generator: Generator | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Return the spectra `(b, channels * window, frames)` of audio `(b, channels, t)`."""
        if x.ndim != 3 or x.shape[1] != self.channels:
            raise ValueError(
                f"STFT wants audio (b, {self.channels}, t), got {tuple(x.shape)}: "
                f"set channels={x.shape[1] if x.ndim == 3 else '...'} when it is made"
            )
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        padded = F.pad(exact, (self._before, self._after(-(-x.shape[-1] // self.hop), x.shape[-1])))
        with torch.autocast(x.device.type, enabled=False):
            frames = padded.unfold(-1, self.window, self.hop) * self._windows(exact)
            spectrum = torch.fft.rfft(frames, norm="ortho")  # (b, c, frames, window / 2 + 1)
        ends, middle = spectrum[..., :: self.window // 2].real, spectrum[..., 1:-1]
        rows = sqrt(2) * torch.view_as_real(middle).flatten(-2)  # each stands for two bins
        packed = torch.cat([ends[..., :1], rows, ends[..., 1:]], -1)
        return packed.transpose(2, 3).flatten(1, 2).to(x.dtype)

    def decode(self, z: Tensor, length: int | None = None) -> Tensor:
        """Return audio `(b, channels, frames * hop)`, cropped to `length` samples if given."""
        if z.ndim != 3 or z.shape[1] != self.latent_channels:
            raise ValueError(
                f"STFT wants spectra (b, {self.latent_channels}, frames), got {tuple(z.shape)}"
            )
        count = z.shape[-1]
        packed = z.unflatten(1, (self.channels, self.window)).transpose(2, 3)
        exact = packed.to(torch.promote_types(z.dtype, torch.float32))
        with torch.autocast(z.device.type, enabled=False):
            middle = torch.view_as_complex(
                (exact[..., 1:-1] / sqrt(2)).unflatten(-1, (-1, 2)).contiguous()
            )
            ends = exact[..., :: self.window - 1].to(middle.dtype)
            spectrum = torch.cat([ends[..., :1], middle, ends[..., 1:]], -1)
            windows = self._windows(exact)
            frames = torch.fft.irfft(spectrum, n=self.window, norm="ortho") * windows
            audio = self._overlap(frames.flatten(0, 1), count)
            seen = self._overlap(windows.square().expand(1, count, -1), count)
        whole: Tensor = (audio / seen).unflatten(0, (len(z), self.channels))[..., :length]
        return whole.to(z.dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the round trip of `x (b, channels, t)`, of its length, and no losses."""
        return self.decode(self.encode(x), length=x.shape[-1]), {}

    @property
    def _before(self) -> int:
        """Samples that the first frame begins before the first sample: frames sit centred."""
        return (self.window - self.hop) // 2

    def _after(self, frames: int, length: int) -> int:
        return (frames - 1) * self.hop + self.window - self._before - length

    def _windows(self, like: Tensor) -> Tensor:
        """Return the analysis window `(window,)`; squares of all that overlap sum to 1."""
        place = torch.arange(self.window, dtype=like.dtype, device=like.device) + 0.5
        return torch.sin(torch.pi * place / self.window) * sqrt(2 * self.hop / self.window)

    def _overlap(self, frames: Tensor, count: int) -> Tensor:
        """Add frames `(n, count, window)` up to `(n, count * hop)` samples."""
        total = (count - 1) * self.hop + self.window
        added = F.fold(frames.transpose(1, 2), (1, total), (1, self.window), stride=(1, self.hop))
        audio: Tensor = added[:, 0, 0, self._before : self._before + count * self.hop]
        return audio
