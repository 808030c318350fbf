"""A diffusion model that gives a sound its upper frequencies back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.nets.plugins import AppendChannelsPlugin
from audio_diffusion_pytorch.ops.padding import pad_end_to_multiple
from audio_diffusion_pytorch.ops.resample import downsample, upsample

from .diffusion_model import DiffusionModel


class DiffusionUpsampler(DiffusionModel):
    """Makes sound of a higher sample rate, beside the interpolated sound of the lower one.

    Trained by `model(audio)` on sound of the high rate alone: what is left of it after going down
    and up again by a windowed sinc stands beside the noisy signal, as channels of its own. With an
    `autoencoder` both stand in its space.

    Args:
        in_channels: Channels of what the network sees: of the audio, or of the space.
        upsample_factor: How many times the rate rises.
        net_t: Builds the network, such as `UNetV0`; called with twice `in_channels`.
        **kwargs: As `DiffusionModel`.

    Shapes: audio `(b, c, t)` in -1..1; any length.

    Raises:
        ValueError: If the factor is below 1, or `in_channels` is not what the space has.

    Source: Schneider et al. 2023, "Mousai", arXiv 2301.11757; audio-diffusion-pytorch 0.1, whose
    state dicts load and whose numbers these are.
    """

    def __init__(
        self,
        in_channels: int,
        upsample_factor: int,
        net_t: Callable[..., nn.Module],
        **kwargs: Any,
    ) -> None:
        if upsample_factor < 1:
            raise ValueError(f"upsample_factor must be at least 1, got {upsample_factor}")
        space = kwargs.get("autoencoder")
        if space is not None and space.latent_channels != in_channels:
            raise ValueError(
                f"in_channels must be the {space.latent_channels} channels of the autoencoder's "
                f"space, got {in_channels}"
            )
        super().__init__(
            net_t=AppendChannelsPlugin(net_t, channels=in_channels),
            in_channels=in_channels,
            **kwargs,
        )
        self.upsample_factor = upsample_factor

    def downsample(self, x: Tensor) -> Tensor:
        """Return audio `(b, c, t)` at the lower rate, `(b, c, ceil(t / upsample_factor))`.

        A length that is no multiple of the factor is padded with zeros.
        """
        return downsample(pad_end_to_multiple(x, self.upsample_factor), self.upsample_factor)

    def reupsample(self, x: Tensor) -> Tensor:
        """Return what is left of audio `(b, c, t)` after going down and up again, as long."""
        return upsample(self.downsample(x), self.upsample_factor)[..., : x.shape[-1]]

    def forward(self, x: Tensor, *args: Any, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Return the loss of clean audio at the high rate.

        Args:
            x: Audio `(b, c, t)`.
            *args: As the objective's `forward`.
            mask: As `DiffusionModel`; what it leaves out is silence in the lower rate too.
            **kwargs: As the objective's `forward`: `generator`, `reduction`, `labels`, ...

        Raises:
            ValueError: As `DiffusionModel`.
        """
        heard = x
        if mask is not None and mask.shape[-1] == x.shape[-1]:
            heard = x.masked_fill(mask == 0, 0.0)
        appended = self.to_space(self.reupsample(heard))
        return super().forward(x, *args, mask=mask, append_channels=appended, **kwargs)

    @torch.no_grad()
    def sample(
        self,
        downsampled: Tensor,
        generator: Generator | None = None,
        *,
        length: int | None = None,
        num_steps: int = 30,
        keep_low: bool = False,
        **kwargs: Any,
    ) -> Tensor:
        """Return sound of the high rate `(b, c, t * upsample_factor)`.

        Args:
            downsampled: Sound of the low rate `(b, c, t)`.
            generator: For the start noise, and for that of a stochastic solver after it; on the
                device of the model.
            length: Samples wanted, at most `t * upsample_factor`, the default: for sounds whose
                length is no multiple of the factor.
            num_steps: Sampler steps.
            keep_low: Put what the low rate holds in the place of what the model made of it: the
                model only adds what is above.
            **kwargs: As `generate`: `solver`, `grid`, `guidance`, `show_progress`, `labels`, ...

        Raises:
            ValueError: If the sound is not `(b, c, t)` or empty, or is shorter than `length` asks
                for; as `generate`.
        """
        if downsampled.ndim != 3 or 0 in downsampled.shape:
            raise ValueError(
                f"the sound to upsample must be (b, c, t), got {tuple(downsampled.shape)}"
            )
        most = downsampled.shape[-1] * self.upsample_factor
        length = most if length is None else length
        if not 1 <= length <= most:
            raise ValueError(
                f"length must lie in 1..{most}, as {downsampled.shape[-1]} samples times "
                f"{self.upsample_factor} reach no further, got {length}"
            )
        interpolated = upsample(downsampled, self.upsample_factor)[..., :length]
        appended = self.to_space(interpolated)
        sounds = DiffusionModel.generate(  # a subclass may call something of its own `generate`
            self,
            len(downsampled),
            length,
            num_steps,
            generator=generator,
            append_channels=appended,
            **kwargs,
        )
        return sounds + interpolated - self.reupsample(sounds) if keep_low else sounds

    def generate(self, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ARG002  of any call
        """Refuse: there is nothing to raise the rate of; `sample` makes sound of a sound.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "DiffusionUpsampler.generate has no sound of the low rate to start from: call "
            "sample(downsampled, num_steps=...)"
        )
