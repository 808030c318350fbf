"""A diffusion model that makes the sound of a mel spectrogram."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.conditioning import MelSpectrogram
from audio_diffusion_pytorch.nets.plugins import AppendChannelsPlugin

from .diffusion_model import DiffusionModel
from .folding import repeat_items
from .parts import split_prefix


class DiffusionVocoder(DiffusionModel):
    """Makes sound beside its mel spectrogram, drawn out to the length of the signal.

    Channels of a sound are items of their own, so that one model makes any number of them; what is
    given for each item (labels, text) counts for all its channels. Without an autoencoder the
    spectrogram is drawn out to one channel of samples by a transposed convolution, `to_flat`. With
    one, which takes mono sound, it is drawn out, or drawn together by a convolution, to frames of
    that space, as many channels as there.

    Args:
        net_t: Builds the network, such as `UNetV0`.
        mel_channels: Bands of the spectrogram.
        mel_n_fft: Samples of its frames.
        mel_hop_length: Samples between frames; default a quarter of `mel_n_fft`.
        mel_win_length: Samples of the window; default `mel_n_fft`.
        in_channels: Not used: every channel is an item.
        **kwargs: `mel_sample_rate`, `mel_normalize`, `mel_normalize_log` as `MelSpectrogram`; the
            rest as `DiffusionModel`.

    Shapes: audio `(b, c, t)` in -1..1, any length; spectrograms
    `(b, c, mel_channels, ceil(t / mel_hop_length))`.

    Attributes:
        to_spectrogram: From audio to spectrograms, a `MelSpectrogram`.
        to_flat: From spectrograms `(n, mel_channels, frames)` to signals of the network's length.

    Raises:
        ValueError: If the window is shorter than the hop, the hop no multiple of the autoencoder's
            frame nor a whole part of it, or the frames are to be centred.
        TypeError: If `mel_sample_rate` is missing.

    Source: audio-diffusion-pytorch 0.1, whose state dicts load and whose numbers these are.
    """

    def __init__(
        self,
        net_t: Callable[..., nn.Module],
        mel_channels: int,
        mel_n_fft: int,
        mel_hop_length: int | None = None,
        mel_win_length: int | None = None,
        in_channels: int = 1,  # noqa: ARG002  upstream's, and ignored there too
        **kwargs: Any,
    ) -> None:
        hop = mel_n_fft // 4 if mel_hop_length is None else mel_hop_length
        window = mel_n_fft if mel_win_length is None else mel_win_length
        mel, kwargs = split_prefix("mel_", kwargs)
        space = kwargs.get("autoencoder")
        factor = 1 if space is None else int(space.downsample_factor)
        width = 1 if space is None else int(space.latent_channels)
        if not 1 <= hop <= window:
            raise ValueError(
                f"mel_win_length must be at least mel_hop_length, got {window} and {hop}"
            )
        if hop % factor and factor % hop:
            raise ValueError(
                f"mel_hop_length must be a multiple of {factor}, the samples of the autoencoder's "
                f"frame, or a whole part of it, got {hop}"
            )
        if mel.pop("center", False):
            raise ValueError(
                "a vocoder's spectrogram has a frame for each hop of the sound, got "
                "mel_center=True, which adds some: leave it out"
            )
        super().__init__(
            net_t=AppendChannelsPlugin(net_t, channels=width), in_channels=width, **kwargs
        )
        self.to_spectrogram = MelSpectrogram(
            n_fft=mel_n_fft,
            hop_length=hop,
            win_length=window,
            n_mel_channels=mel_channels,
            keep_tail=True,
            **mel,
        )
        self.to_flat = _make_flat(mel_channels, width, window, hop, factor)

    def forward(
        self,
        x: Tensor,
        *args: Any,
        mask: Tensor | None = None,
        noise: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss of clean audio, through which `to_flat` learns too.

        Args:
            x: Audio `(b, c, t)`.
            *args: As the objective's `forward`.
            mask: As `DiffusionModel`, or `(b, c, t)`; what it leaves out is silence in the
                spectrogram too.
            noise: Fixed noise of the shape of the audio; with an autoencoder `(b * c, ...)`, of
                its space.
            **kwargs: As the objective's `forward`: `generator`, `reduction` ("none" gives the mean
                over channels, `(b,)`), `times` (for each item), `labels`, ...

        Raises:
            ValueError: If the audio is not `(b, c, t)`; as `DiffusionModel`.
        """
        if x.ndim != 3 or 0 in x.shape:
            raise ValueError(f"the vocoder wants audio (b, c, t), got shape {tuple(x.shape)}")
        items, channels, length = x.shape
        kwargs = repeat_items(kwargs, items, channels)
        if mask is not None:
            mask = mask.expand(items, channels, -1).reshape(items * channels, 1, -1)
            kwargs["mask"] = mask
        if noise is not None:
            kwargs["noise"] = noise.reshape(-1, 1, length) if noise.shape == x.shape else noise
        x = x.reshape(items * channels, 1, length)
        heard = x if mask is None or mask.shape[-1] != length else x.masked_fill(mask == 0, 0.0)
        spectrogram = self.to_spectrogram(heard).squeeze(1)
        flat = self._flat(spectrogram, length)
        loss = super().forward(x, *args, append_channels=flat, **kwargs)
        return loss if loss.ndim == 0 else loss.reshape(items, channels).mean(1)

    @torch.no_grad()
    def sample(
        self,
        spectrogram: Tensor,
        generator: Generator | None = None,
        *,
        length: int | None = None,
        num_steps: int = 30,
        **kwargs: Any,
    ) -> Tensor:
        """Return the sound `(..., frames * mel_hop_length)` of mel spectrograms.

        Args:
            spectrogram: What `to_spectrogram` gives, `(..., mel_channels, frames)`: the axes before
                are the items and, for more than one, their channels.
            generator: For the start noise, and for that of a stochastic solver after it; on the
                device of the model.
            length: Samples wanted, at most `frames * mel_hop_length`, the default: for sounds whose
                length is no multiple of the hop.
            num_steps: Sampler steps.
            **kwargs: As `generate`: `solver`, `grid`, `guidance`, `show_progress`, `labels`, ...;
                what is given for each item counts for all its channels.

        Raises:
            ValueError: If the spectrogram has other bands or is empty, or is shorter than `length`
                asks for; as `generate`.
        """
        bands, hop = self.to_spectrogram.n_mel_channels, self.to_spectrogram.hop_length
        if spectrogram.ndim < 2 or spectrogram.shape[-2] != bands or 0 in spectrogram.shape:
            raise ValueError(
                f"the spectrogram must be (..., {bands}, frames), got {tuple(spectrogram.shape)}"
            )
        most = spectrogram.shape[-1] * hop
        length = most if length is None else length
        if not 1 <= length <= most:
            raise ValueError(
                f"length must lie in 1..{most}, as {spectrogram.shape[-1]} frames of {hop} samples "
                f"reach no further, got {length}"
            )
        head = spectrogram.shape[:-2]
        flat = self._flat(spectrogram.reshape(-1, *spectrogram.shape[-2:]), length)
        times = kwargs.pop("times", None)  # of the walk, not of the items
        kwargs = repeat_items(kwargs, *((head[0], prod(head[1:])) if head else (1, 1)))
        if times is not None:
            kwargs["times"] = times
        sounds = DiffusionModel.generate(  # a subclass may call something of its own `generate`
            self, len(flat), length, num_steps, generator=generator, append_channels=flat, **kwargs
        )
        return sounds.reshape(*head, length)

    def generate(self, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ARG002  of any call
        """Refuse: there is no spectrogram; `sample` makes the sound of one.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "DiffusionVocoder.generate has no spectrogram to make the sound of: call "
            "sample(spectrogram, num_steps=...)"
        )

    def _flat(self, spectrogram: Tensor, length: int) -> Tensor:
        """Return the signal beside a sound of `length` samples: `(n, bands, frames)` drawn out."""
        if isinstance(self.to_flat, nn.Conv1d):  # whole frames of the space
            missing = -spectrogram.shape[-1] % self.to_flat.stride[0]
            spectrogram = F.pad(spectrogram, (0, missing), mode="replicate")
        flat: Tensor = self.to_flat(spectrogram)
        frames = length if self.autoencoder is None else self.latent_shape(1, length)[-1]
        return flat[..., :frames]


def _make_flat(
    bands: int, width: int, window: int, hop: int, factor: int
) -> nn.ConvTranspose1d | nn.Conv1d:
    """Return what makes signals of `width` channels, a frame in `factor` samples, of mel spectra.

    Kernel and stride are both even or both odd, so that what a frame sees lies evenly around it; on
    raw samples they are upstream's.
    """
    if factor > hop:
        stride = factor // hop
        kernel = 2 * stride + stride % 2
        padding = (kernel - stride) // 2
        return nn.Conv1d(
            bands, width, kernel, stride, padding, bias=False, padding_mode="replicate"
        )
    stride, kernel = hop // factor, -(-window // factor)
    if factor > 1:
        kernel += (kernel - stride) % 2
    return nn.ConvTranspose1d(bands, width, kernel, stride, (kernel - stride) // 2, bias=False)
