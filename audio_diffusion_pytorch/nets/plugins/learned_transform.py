"""A learnt filter bank before a network and another one behind it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from audio_diffusion_pytorch.ops.padding import reflect_pad
from audio_diffusion_pytorch.serialization import Pretrained

from .inner import prepare_inner, rename_blocks


class LearnedTransform(Pretrained, nn.Module):
    """A network that works on frames of the signal, cut and joined by learnt filters.

    Shapes: `x (b, in_channels, t)` -> `(b, out_channels, t)`, any `t`; the network inside sees
    `(b, in_channels * num_filters, frames)`, a frame per `stride` samples. At its ends the signal
    goes on as its mirror image; where `t` is no multiple of `stride` further on the right, and the
    result is cropped. Contexts given as `channels` are for the frames.

    Args:
        net_t: Builds the network; called with `dim`, `in_channels`, `out_channels` and the rest.
        num_filters: Filters for each channel.
        window_length: Samples under a filter, at least `stride`.
        stride: Samples from frame to frame.
        dim: 1, axes after the channels.
        in_channels: Channels of the noisy signal.
        out_channels: Channels of the output; default `in_channels`.
        **kwargs: For `net_t`.

    Raises:
        ValueError: If a count is below 1, the window shorter than the stride, or `dim` not 1.

    Source: Luo and Mesgarani 2019, "Conv-TasNet", IEEE/ACM TASLP 27(8), section II-B (the
    analysis and synthesis by convolutions). The state dicts of audio-diffusion-pytorch 0.1 load
    as they are.
    """

    def __init__(
        self,
        net_t: Callable[..., nn.Module],
        num_filters: int,
        window_length: int,
        stride: int,
        dim: int,
        in_channels: int,
        out_channels: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        out_channels = in_channels if out_channels is None else out_channels
        if dim != 1:
            raise ValueError(f"a learned transform is for sounds of one axis, dim=1, got dim={dim}")
        if not 1 <= stride <= window_length or min(num_filters, in_channels, out_channels) < 1:
            raise ValueError(
                "a learned transform needs at least 1 filter and channel and 1 <= stride <= "
                f"window_length, got {num_filters} filters, {in_channels} to {out_channels} "
                f"channels, stride {stride}, window_length {window_length}"
            )
        self.num_filters = num_filters
        self.window_length = window_length
        self.stride = stride
        self.in_channels, self.out_channels = in_channels, out_channels
        self.padding = window_length // 2 - stride // 2
        filters_in, filters_out = in_channels * num_filters, out_channels * num_filters
        self.encode = nn.Conv1d(in_channels, filters_in, window_length, stride, bias=False)
        self.decode = nn.ConvTranspose1d(
            filters_out, out_channels, window_length, stride, self.padding, bias=False
        )
        self.net = net_t(dim=dim, in_channels=filters_in, out_channels=filters_out, **kwargs)
        self.register_load_state_dict_pre_hook(_rename_upstream_keys)  # type: ignore[no-untyped-call]

    def prepare(self, **cond: Any) -> dict[str, Any]:
        """Return the conditioning ready for many calls, as the network inside makes it."""
        return prepare_inner(self.net, cond)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return what the network says of `x (b, in_channels, t)`, of its length.

        Args:
            x: Noisy signal.
            *args: As the network: `time`.
            **kwargs: As the network.

        Raises:
            ValueError: If the signal is of another shape, or empty.
        """
        if x.ndim != 3 or x.shape[1] != self.in_channels or 0 in x.shape:
            raise ValueError(
                f"the input must have shape (b, {self.in_channels}, t) and not be empty, got "
                f"{tuple(x.shape)}: build the network with other in_channels, or reshape it"
            )
        length = x.shape[-1]
        missing = length + 2 * self.padding - self.window_length
        frames = max(1, 1 - (-missing // self.stride))
        covered = (frames - 1) * self.stride + self.window_length  # what the frames look at
        padded = reflect_pad(x, self.padding, covered - self.padding - length)
        out: Tensor = self.decode(self.net(self.encode(padded), *args, **kwargs))
        return F.pad(out, (0, length - out.shape[-1]))


def LTPlugin(  # noqa: N802  upstream's name
    net_t: Callable[..., nn.Module], num_filters: int, window_length: int, stride: int
) -> Callable[..., nn.Module]:
    """Return a `net_t` that builds `LearnedTransform` around the given one; it can be pickled.

    Args:
        net_t: Builds the network.
        num_filters: Filters for each channel.
        window_length: Samples under a filter.
        stride: Samples from frame to frame.
    """
    return partial(LearnedTransform, net_t, num_filters, window_length, stride)


def _rename_upstream_keys(
    module: LearnedTransform, state_dict: dict[str, Any], prefix: str, *_: object
) -> None:
    """Rename the weights of an upstream file in `state_dict`, in place; a load pre-hook."""
    del module
    names = {"blocks.0.": "encode.", "blocks.1.": "decode.", "blocks.2.": "net."}
    rename_blocks(names, state_dict, prefix)
