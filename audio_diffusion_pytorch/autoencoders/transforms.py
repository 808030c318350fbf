"""Exact transforms behind the autoencoder seam: another space to work in, nothing lost."""

from __future__ import annotations

from math import pi, sqrt

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.serialization import Recorded


class MDCT(Recorded, nn.Module):
    """Modified discrete cosine transform: `num_bins` frequency rows, one frame per `num_bins`.

    Critically sampled and orthonormal: as many numbers out as in, energy kept, so white noise
    stays white noise, and the inverse is the transpose. Neighbouring blocks are folded into one
    another over a sine window, then each block gets a DCT-IV; the two outer edges are not folded,
    so no frame is spent on them. A length that is no multiple of `num_bins` is padded with zeros
    at its end. No weights, and computed in float32 at least, whatever autocast says.

    Shapes: `encode` `(b, channels, t)` -> `(b, channels * num_bins, ceil(t / num_bins))`;
    `decode` the other way, to `frames * num_bins` samples or the `length` asked for.

    Args:
        num_bins: Frequency rows per channel, and the hop in samples. Row `k` is centred at
            `(k + 1/2) / num_bins` of the Nyquist frequency.
        channels: Audio channels.
        sample_rate: Hz, if it should be remembered; the transform does not depend on it.

    Raises:
        ValueError: If `num_bins` is odd or below 2, or a signal has other channels.

    Source: Princen, Johnson and Bradley 1987, "Subband/transform coding using filter bank designs
    based on time domain aliasing cancellation"; Malvar 1992, "Signal Processing with Lapped
    Transforms", section 4.3 (folding followed by a DCT-IV).
    """

    def __init__(
        self, num_bins: int = 128, channels: int = 1, sample_rate: int | None = None
    ) -> None:
        super().__init__()
        if num_bins < 2 or num_bins % 2:
            raise ValueError(f"num_bins must be an even number of at least 2, got {num_bins}")
        self.num_bins = num_bins
        self.channels = channels
        self.sample_rate = sample_rate
        self.latent_channels = channels * num_bins
        self.downsample_factor = num_bins
        self.reach = num_bins // 2  # samples that a frame's window covers beyond its own, each way
        # Not a buffer: `.to(bfloat16)` would blur it for good.
        self._cosines = cosine_matrix(num_bins).to(torch.float32)

    def encode(
        self,
        x: Tensor,
        *,
        sample: bool = False,  # noqa: ARG002  an exact transform has nothing to draw
        generator: Generator | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Return the spectrum `(b, channels * num_bins, frames)` of audio `(b, channels, t)`."""
        if x.ndim != 3 or x.shape[1] != self.channels:
            raise ValueError(
                f"MDCT wants audio (b, {self.channels}, t), got {tuple(x.shape)}: "
                f"set channels={x.shape[1] if x.ndim == 3 else '...'} when it is made"
            )
        n = self.num_bins
        exact = F.pad(x, (0, -x.shape[-1] % n)).to(_exact_dtype(x))
        with torch.autocast(x.device.type, enabled=False):
            blocks = fold(exact.unflatten(-1, (-1, n)), inverse=False)  # (b, c, frames, n)
            spectrum: Tensor = blocks @ self._cosines_like(exact)
        return spectrum.transpose(2, 3).flatten(1, 2).to(x.dtype)

    def decode(self, z: Tensor, length: int | None = None) -> Tensor:
        """Return audio `(b, channels, frames * num_bins)`, cropped to `length` samples if given."""
        if z.ndim != 3 or z.shape[1] != self.latent_channels:
            raise ValueError(
                f"MDCT wants a spectrum (b, {self.latent_channels}, frames), got {tuple(z.shape)}"
            )
        spectrum = z.unflatten(1, (self.channels, self.num_bins)).transpose(2, 3)
        with torch.autocast(z.device.type, enabled=False):
            exact = spectrum.to(_exact_dtype(z))
            blocks: Tensor = fold(exact @ self._cosines_like(exact), inverse=True)
        audio: Tensor = blocks.flatten(2, 3)[..., :length].to(z.dtype)
        return audio

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the round trip of `x (b, channels, t)`, of its length, and no losses."""
        return self.decode(self.encode(x), length=x.shape[-1]), {}

    def _cosines_like(self, x: Tensor) -> Tensor:
        """Return the matrix in the dtype of `x` and on its device; it is kept for the next call."""
        if self._cosines.device != x.device or self._cosines.dtype != x.dtype:
            self._cosines = cosine_matrix(self.num_bins).to(x)
        return self._cosines


def cosine_matrix(size: int) -> Tensor:
    """Return the orthonormal, symmetric DCT-IV matrix `(size, size)` in float64 on the CPU."""
    position = torch.arange(size, dtype=torch.float64, device="cpu") + 0.5
    return sqrt(2 / size) * torch.cos(pi / size * position[:, None] * position)


def fold(blocks: Tensor, *, inverse: bool) -> Tensor:
    """Rotate each pair of samples that mirror one another across a block boundary.

    Args:
        blocks: Consecutive blocks `(..., frames, n)`.
        inverse: Rotate back.

    Returns:
        Blocks of the same shape; the first half-block and the last are left as they are.
    """
    half = blocks.shape[-1] // 2
    distance = torch.arange(half, dtype=blocks.dtype, device=blocks.device) + 0.5
    angle = pi / 4 + pi / 4 * distance / half  # sine window, from the boundary outwards
    # A DCT-IV continues evenly over a block's start and oddly over its end: so must the fold.
    far, near = angle.sin(), angle.cos() * (-1.0 if inverse else 1.0)
    left = blocks[..., :-1, half:].flip(-1)  # outwards from the boundary, to the left
    right = blocks[..., 1:, :half]  # and to the right
    starts = torch.cat([blocks[..., :1, :half], far * right + near * left], dim=-2)
    ends = torch.cat([(far * left - near * right).flip(-1), blocks[..., -1:, half:]], dim=-2)
    return torch.cat([starts, ends], dim=-1)


def _exact_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
