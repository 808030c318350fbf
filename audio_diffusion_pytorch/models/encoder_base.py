"""Bases of what a `DiffusionAE` takes: its encoder, and an adapter to another space."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from audio_diffusion_pytorch.serialization import Recorded


class EncoderBase(Recorded, nn.Module, ABC):
    """Base of encoders for `DiffusionAE`: audio `(b, c, t)` to latents `(b, out_channels, frames)`.

    A subclass sets `out_channels` and `downsample_factor` (samples a latent), as attributes or as
    properties, and writes `forward(x, with_info=False)`, which gives the latents, or a pair of them
    and of anything else that is worth knowing. Deriving from this class is not needed: any module
    with the two attributes is an encoder. One that needs more samples than a latent has says so as
    `min_length`; shorter audio is padded to it.
    """

    out_channels: int | None = None
    downsample_factor: int | None = None

    @abstractmethod
    def __init__(self) -> None:
        super().__init__()


class AdapterBase(Recorded, nn.Module, ABC):
    """Base of adapters for `DiffusionAE`: another space to diffuse in; frozen there."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Return what the diffusion works on, `(b, in_channels, frames)`, of audio `(b, c, t)`."""

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Return audio `(b, c, t)` of what `encode` gives."""
