"""Autoregressive diffusion: sound of any length, part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.diffusion.autoregressive import ARVDiffusion, ARVSampler, check_splits

from .diffusion_model import DiffusionModel
from .edit_parts import frame_of
from .joining import join
from .parts import evaluating


class DiffusionAR(DiffusionModel):
    """Trains on windows of `num_splits` parts at levels of their own; makes sound part after part.

    `sample` counts in parts and continues a `start`; `generate` counts in samples, as other models
    do. The network is told the level of each part by an additional channel and gets no time. See
    `ARVDiffusion` and `ARVSampler`.

    Args:
        in_channels: Channels of what is diffused: of the audio, or of the `autoencoder`.
        length: Samples of audio that it trains on, the window of the sampler.
        num_splits: Parts of the window. The more, the more there is of what came before while a
            part is made, and the more steps a part takes.
        diffusion_t: As `DiffusionModel`.
        sampler_t: As `DiffusionModel`.
        **kwargs: As `DiffusionModel`: `net_t`, `channels`, `factors`, `items`, ...

    Raises:
        ValueError: If parts are not of equal length, or not whole frames of the autoencoder; when
            called, if the audio has another length.
    """

    def __init__(
        self,
        in_channels: int,
        length: int,
        num_splits: int,
        diffusion_t: Callable[..., nn.Module] = ARVDiffusion,
        sampler_t: Callable[..., nn.Module] = ARVSampler,
        **kwargs: Any,
    ) -> None:
        space = kwargs.get("autoencoder")
        hop = 1 if space is None else int(space.downsample_factor)
        split = check_splits(length, num_splits)
        if split % hop:
            raise ValueError(
                f"length / num_splits must be a multiple of {hop}, the samples in a frame of the "
                f"autoencoder, got {length} / {num_splits}: change one of the two"
            )
        super().__init__(
            in_channels=in_channels + 1,
            out_channels=in_channels,
            diffusion_t=diffusion_t,
            diffusion_length=length // hop,
            diffusion_num_splits=num_splits,
            sampler_t=sampler_t,
            sampler_in_channels=in_channels,
            sampler_length=length // hop,
            sampler_num_splits=num_splits,
            use_time_conditioning=False,
            use_modulation=False,
            **kwargs,
        )
        self._audio_channels = in_channels  # of the signal: the network has one more
        self.length, self.num_splits, self.split_length = length, num_splits, split

    def forward(self, x: Tensor, *args: Any, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Return the loss of clean audio `(b, c, length)`; else as `DiffusionModel`.

        Raises:
            ValueError: If the audio has another length; as `DiffusionModel`.
        """
        if x.shape[-1] != self.length:
            raise ValueError(
                f"this DiffusionAR trains on {self.length} samples, got {x.shape[-1]}: crop or pad "
                "the audio, or make the model with another length (a multiple of "
                f"num_splits={self.num_splits})"
            )
        return super().forward(x, *args, mask=mask, **kwargs)

    @torch.no_grad()
    def sample(
        self,
        num_items: int,
        num_chunks: int,
        num_steps: int,
        start: Tensor | None = None,
        show_progress: bool = False,
        *,
        generator: Generator | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return sounds `(num_items, c, num_chunks * length / num_splits)`.

        Args:
            num_items: How many.
            num_chunks: Parts of the result, those of `start` included.
            num_steps: Steps of the first window; each later part takes about half of them.
            start: Audio to continue `(num_items or 1, c, t)`, shorter than the result, at least a
                frame of the autoencoder and what it sees, best some parts; it is returned bit for
                bit at the beginning.
            show_progress: Show a progress bar over the parts.
            generator: For all noise, on the device of the model.
            **kwargs: As the sampler's `forward`: `guidance`, ..., and conditions for the network.

        Raises:
            ValueError: If a count is below 1, or `start` does not fit.
        """
        if generator is not None:
            kwargs["generator"] = generator
        with evaluating(self):
            if start is None:
                made = self.sampler(num_items, num_chunks, num_steps, None, show_progress, **kwargs)
                return self.from_space(made)
            walk = (num_items, num_chunks, num_steps, show_progress)
            return self._continue(start, *walk, **kwargs)

    def _continue(
        self,
        start: Tensor,
        num_items: int,
        num_chunks: int,
        num_steps: int,
        show_progress: bool,
        **kwargs: Any,
    ) -> Tensor:
        hop, reach = frame_of(self)
        given, length = start.shape[-1], num_chunks * self.split_length
        split = self.split_length // hop
        whole = given if hop == 1 else max(0, given - reach) // hop  # frames of given samples only
        if whole < 1 or given >= length:
            least = 1 if hop == 1 else hop + reach
            raise ValueError(
                f"start must have {least} samples at least and fewer than the {length} of "
                f"num_chunks={num_chunks}, which counts it too, got {given}: give another"
            )
        z = self.to_space(start.to(next(self.parameters(), start)))
        before = whole % split if whole > split else 0  # whole parts up to the end of what is known
        parts = -(-(length // hop - before) // split)
        made = self.sampler(
            num_items, parts, num_steps, z[..., before:whole], show_progress, **kwargs
        )
        z = torch.cat([z[..., :before].expand(num_items, -1, -1), made], dim=-1)
        sound = self.from_space(z)[..., :length].to(start)
        kept = (torch.arange(length, device=start.device) < given)[None, None]
        start = F.pad(start, (0, length - given)).expand(num_items, -1, -1)
        return join(start, sound, kept, hop // 2)

    def generate(
        self,
        num_items: int,
        length: int,
        num_steps: int = 30,
        *,
        start: Tensor | None = None,
        generator: Generator | None = None,
        show_progress: bool = False,
        **kwargs: Any,
    ) -> Tensor:
        """Return `num_items` sounds `(num_items, c, length)` of any length.

        Args:
            num_items: How many.
            length: Samples each.
            num_steps: As `sample`.
            start: As `sample`.
            generator: As `sample`.
            show_progress: As `sample`.
            **kwargs: As `sample`.

        Raises:
            ValueError: If a count or length is below 1; as `sample`.
        """
        if num_items < 1 or length < 1:
            raise ValueError(
                f"generate needs at least 1 item of at least 1 sample, got {num_items} of {length}"
            )
        chunks = -(-length // self.split_length)
        made = self.sample(
            num_items, chunks, num_steps, start, show_progress, generator=generator, **kwargs
        )
        return made[..., :length]
