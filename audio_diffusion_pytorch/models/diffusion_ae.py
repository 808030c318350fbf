"""An autoencoder whose decoder is a diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.ops.random import randn

from .context_frames import input_stride, plan_context, shortest_input, takes_info
from .diffusion_model import DiffusionModel
from .encoder_base import AdapterBase


class DiffusionAE(DiffusionModel):
    """An encoder makes latents, a diffusion model makes the sound again, led by them.

    Encoder and network are trained together by `model(audio)`: the latents come to hold what the
    network cannot guess. They enter the network as the context of its level `inject_depth`. Where
    a frame of that level is shorter than a latent by a whole number, latents are repeated; where it
    is longer, they are folded into channels.

    `encode` and `decode` speak of these latents; the space that the diffusion works in, if there is
    an `autoencoder` or an adapter, is `to_space` and `from_space`. The encoder hears the audio
    itself in any case.

    Args:
        in_channels: Channels of what the network sees: of the audio, or of the space.
        channels: Width of each level of the network.
        encoder: Any module that maps audio `(b, c, t)` to latents and has `out_channels` and
            `downsample_factor`, such as those of audio-encoders-pytorch; see `EncoderBase`.
        inject_depth: Level that takes the latents in, 0 is the outermost.
        latent_factor: Samples a latent, where the encoder's `downsample_factor` does not say it;
            with an adapter, frames of its space a latent.
        adapter: Another space for the diffusion, frozen; see `AdapterBase`.
        **kwargs: As `DiffusionModel`: `net_t`, `factors`, `items`, `autoencoder`, ...

    Raises:
        ValueError: If the encoder does not say what it gives, there is no such level, latents
            and level do not fit, or there is both an adapter and an autoencoder.

    Source: Preechakul et al. 2022, "Diffusion Autoencoders", arXiv 2111.15640, section 3; for audio
    Schneider et al. 2023, "Mousai", arXiv 2301.11757, section 4.1.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        encoder: nn.Module,
        inject_depth: int,
        latent_factor: int | None = None,
        adapter: AdapterBase | None = None,
        **kwargs: Any,
    ) -> None:
        levels = len(channels)
        if not 0 <= inject_depth < levels:
            raise ValueError(
                f"inject_depth must name one of the {levels} levels, 0..{levels - 1}, got "
                f"{inject_depth}"
            )
        space = kwargs.get("autoencoder")
        if adapter is not None and space is not None:
            raise ValueError("adapter and autoencoder are both a space to diffuse in: pass one")
        width = encoder_size(encoder, "out_channels")
        factor = latent_factor or encoder_size(encoder, "downsample_factor")
        hop = 1 if space is None else int(space.downsample_factor)
        stride = hop * input_stride(kwargs.get("net_t", nn.Module))
        context = plan_context(factor, kwargs.get("factors"), inject_depth, stride)
        context_channels = [0] * levels
        context_channels[inject_depth] = width * context.fold
        super().__init__(
            in_channels=in_channels, channels=channels, context_channels=context_channels, **kwargs
        )
        self.in_channels = in_channels
        self.encoder = encoder
        self.inject_depth = inject_depth
        self.latent_factor = factor
        self.adapter = None if adapter is None else adapter.requires_grad_(False)
        self._context = context
        self._encoder_factor = int(getattr(encoder, "downsample_factor", None) or factor)

    def forward(  # type: ignore[override]
        self, x: Tensor, with_info: bool = False, *, mask: Tensor | None = None, **kwargs: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """Return the loss of clean audio, through which the encoder learns too.

        Args:
            x: Audio `(b, c, t)`, any length.
            with_info: Return also what the encoder says besides its latents.
            mask: As `DiffusionModel`; what it leaves out the encoder hears as silence.
            **kwargs: As `DiffusionModel`: `generator`, `reduction`, `times`, `noise`, ...

        Raises:
            ValueError: If the encoder gives too few latents; as `DiffusionModel`.
        """
        heard = x
        if mask is not None and mask.shape[-1] == x.shape[-1]:
            heard = x.masked_fill(mask == 0, 0.0)
        latent, info = self.encode(heard, with_info=True)
        channels = self._channels(latent, x.shape[-1])
        loss = super().forward(x, mask=mask, channels=channels, **kwargs)
        return (loss, info) if with_info else loss

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """Return the latents `(b, out_channels, frames)` of audio `(b, c, t)`.

        The audio is padded with zeros to whole latents: there are `t / downsample_factor`, rounded
        up.

        Args:
            *args: The audio, and what else the encoder takes.
            **kwargs: For the encoder. `with_info=True` gives a pair of the latents and what it says
                besides; an encoder that does not know the word says nothing.
        """
        if not args:
            return self.encoder(**kwargs)
        x = args[0]
        silent = "with_info" in kwargs and not takes_info(self.encoder)
        with_info = kwargs.pop("with_info") if silent else False
        result = self.encoder(self._padded(x), *args[1:], **kwargs)
        frames = -(-x.shape[-1] // self._encoder_factor)
        if isinstance(result, tuple):
            return result[0][..., :frames], *result[1:]
        latent = result[..., :frames]
        return (latent, {}) if with_info else latent

    @torch.no_grad()
    def decode(  # type: ignore[override]
        self,
        latent: Tensor,
        generator: Generator | None = None,
        *,
        length: int | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return sound `(b, c, length)` made from noise under the lead of latents.

        Args:
            latent: `(b, out_channels, frames)`.
            generator: For the start noise, and for that of a stochastic solver after it; on the
                device of the latents.
            length: Samples wanted, at most what the latents stand for, `frames * latent_factor`;
                default all of them.
            **kwargs: As `sample`: `num_steps`, `solver`, `show_progress`, ...

        Raises:
            ValueError: If the length is below 1 or more than the latents stand for.
        """
        most = latent.shape[-1] * self.latent_factor
        wanted = most if length is None else length
        if wanted < 1 or (wanted > most and self.adapter is None):
            raise ValueError(
                f"{latent.shape[-1]} latents of {self.latent_factor} samples each stand for 1 to "
                f"{most} samples, got length={wanted}: pass a shorter one or more latents"
            )
        shape = (len(latent), self.in_channels, self._net_length(latent, wanted))
        noise = randn(shape, generator=generator, device=latent.device, dtype=latent.dtype)
        if generator is not None and (path := self._path(generator, kwargs.get("constraint"))):
            kwargs.setdefault("noise", path)
        made = self.sample(noise, channels=self._channels(latent, wanted), **kwargs)
        if self.adapter is not None and length is None:
            return made
        if made.shape[-1] < wanted:
            raise ValueError(
                f"{latent.shape[-1]} latents become {made.shape[-1]} samples, got length={wanted}: "
                "pass a shorter one or more latents"
            )
        return made[..., :wanted]

    def generate(self, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ARG002  of any call
        """Refuse: there are no latents; `decode` makes the sound of some.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "DiffusionAE.generate has no latents to make the sound of: call "
            "decode(latent, num_steps=...)"
        )

    def to_space(self, x: Tensor) -> Tensor:
        """Return what the diffusion works on, of audio `(b, c, t)`: by the adapter, if any."""
        if self.adapter is None:
            return super().to_space(x)
        with torch.no_grad():
            encoded: Tensor = self.adapter.encode(self._padded(x))
        return encoded

    def from_space(self, z: Tensor) -> Tensor:
        """Return audio `(b, c, t)` of what `to_space` gives."""
        if self.adapter is None:
            return super().from_space(z)
        decoded: Tensor = self.adapter.decode(z)
        return decoded

    def _padded(self, x: Tensor) -> Tensor:
        """Return the audio with zeros at its end, as long as the encoder needs it."""
        factor = self._encoder_factor
        least = max(x.shape[-1], shortest_input(self.encoder))
        return F.pad(x, (0, -(-least // factor) * factor - x.shape[-1]))

    def _net_length(self, latent: Tensor, length: int) -> int:
        """Return the frames of the network's input for `length` samples of audio."""
        if self.adapter is not None:
            return latent.shape[-1] * self.latent_factor
        return length if self.autoencoder is None else self.latent_shape(1, length)[-1]

    def _channels(self, latent: Tensor, length: int) -> list[Tensor | None]:
        """Return the contexts of the levels up to `inject_depth`."""
        if self.adapter is not None:
            length = latent.shape[-1] * self.latent_factor
        return [None] * self.inject_depth + [self._context(latent, length)]


def encoder_size(encoder: nn.Module, name: str) -> int:
    """Return a size that an encoder must say.

    Raises:
        ValueError: If it does not.
    """
    size = getattr(encoder, name, None)
    if not isinstance(size, int) or size < 1:
        raise ValueError(
            f"the encoder must say its {name} as a number of at least 1, got {size!r} from "
            f"{type(encoder).__name__}: set the attribute"
        )
    return size
