"""Loud and quiet brought closer together, so that a model hears both."""

from __future__ import annotations

from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.protocols import Autoencoder
from audio_diffusion_pytorch.serialization import Recorded


class Companded(Recorded, nn.Module):
    """Another space with its values bent: `sign(z) |z| ** exponent`, undone on the way back.

    The numbers of a spectrum are mostly near zero with a few that are a hundred deviations out (a
    piano's 128-row MDCT, each row at unit variance, has a kurtosis of 909; with exponent 0.5 one of
    33; normal noise has 3). Bent, a model's error on a quiet coefficient becomes a far smaller one
    in the sound: what stays of the start noise falls by as many dB again. An exponent near 0 would
    turn small errors on loud ones into bursts.

    Shapes: as those of the space inside. No weights of its own.

    Args:
        autoencoder: The space to bend, such as `MDCT(512)`.
        exponent: In 0..1, above 0; 1 changes nothing.

    Raises:
        ValueError: If the exponent is out of range.

    Source: amplitude compression of spectra before diffusion, Richter et al. 2022, arXiv
    2208.05830, section IV (exponent 0.5).
    """

    def __init__(self, autoencoder: Autoencoder, exponent: float = 0.5) -> None:
        super().__init__()
        if not 0.0 < exponent <= 1.0:
            raise ValueError(f"exponent must lie in 0..1 and above 0, got {exponent}")
        self.autoencoder = autoencoder
        self.exponent = exponent
        self.latent_channels = autoencoder.latent_channels
        self.downsample_factor = autoencoder.downsample_factor
        self.sample_rate = autoencoder.sample_rate
        self.reach: int = getattr(autoencoder, "reach", 0)

    def encode(
        self, x: Tensor, *, sample: bool = False, generator: Generator | None = None
    ) -> Tensor:
        """Return the bent latents `(b, latent_channels, frames)` of audio `(b, c, t)`."""
        return bend(self.autoencoder.encode(x, sample=sample, generator=generator), self.exponent)

    def decode(self, z: Tensor) -> Tensor:
        """Return audio `(b, c, frames * downsample_factor)` of bent latents."""
        return self.autoencoder.decode(bend(z, 1.0 / self.exponent))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the round trip of `x (b, c, t)`, of its length, and no losses."""
        return self.decode(self.encode(x))[..., : x.shape[-1]], {}


def bend(z: Tensor, exponent: float) -> Tensor:
    """Return `sign(z) |z| ** exponent`, elementwise."""
    return z.sign() * z.abs().pow(exponent)
