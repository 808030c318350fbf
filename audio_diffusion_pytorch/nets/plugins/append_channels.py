"""A signal to follow, put beside the noisy one as further channels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.serialization import Pretrained

from .inner import prepare_inner, rename_blocks


class AppendChannels(Pretrained, nn.Module):
    """A network that also sees a signal of the same length, `append_channels`.

    Shapes: `x (b, in_channels, *t)` beside `append_channels (b, append_channels, *t)` ->
    `(b, out_channels, *t)`, of whatever length the network takes.

    Args:
        net_t: Builds the network; called with `in_channels`, `out_channels` and the rest.
        append_channels: Channels of the signal to follow.
        in_channels: Channels of the noisy signal.
        out_channels: Channels of the output; default `in_channels`.
        **kwargs: For `net_t`.

    Raises:
        ValueError: If a count is below 1.

    The state dicts of audio-diffusion-pytorch 0.1 load as they are.
    """

    def __init__(
        self,
        net_t: Callable[..., nn.Module],
        append_channels: int,
        in_channels: int,
        out_channels: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if append_channels < 1 or in_channels < 1:
            raise ValueError(
                "the channels of the signal to follow and in_channels must be at least 1, got "
                f"{append_channels} and {in_channels}"
            )
        self.append_channels = append_channels
        self.in_channels = in_channels
        self.out_channels = in_channels if out_channels is None else out_channels
        self.net = net_t(
            in_channels=in_channels + append_channels, out_channels=self.out_channels, **kwargs
        )
        self.register_load_state_dict_pre_hook(_rename_upstream_keys)  # type: ignore[no-untyped-call]

    def prepare(self, *, append_channels: Tensor, **cond: Any) -> dict[str, Any]:
        """Return the conditioning ready for many calls, as the network inside makes it."""
        return {"append_channels": append_channels, **prepare_inner(self.net, cond)}

    def forward(self, x: Tensor, *args: Any, append_channels: Tensor, **kwargs: Any) -> Tensor:
        """Return what the network says of `x` beside the signal to follow.

        Args:
            x: Noisy signal `(b, in_channels, *t)`.
            *args: As the network: `time`.
            append_channels: `(b, append_channels, *t)`, of the lengths of `x`.
            **kwargs: As the network.

        Raises:
            ValueError: If the signal to follow is of another shape.
        """
        wanted = (len(x), self.append_channels, *x.shape[2:])
        if tuple(append_channels.shape) != wanted:
            raise ValueError(
                f"append_channels must have shape {wanted} to stand beside a signal of shape "
                f"{tuple(x.shape)}, got {tuple(append_channels.shape)}"
            )
        out: Tensor = self.net(torch.cat([x, append_channels.to(x.dtype)], 1), *args, **kwargs)
        return out


def AppendChannelsPlugin(  # noqa: N802  upstream's name
    net_t: Callable[..., nn.Module], channels: int
) -> Callable[..., nn.Module]:
    """Return a `net_t` that builds `AppendChannels` around the given one; it can be pickled.

    Args:
        net_t: Builds the network.
        channels: Channels of the signal to follow.
    """
    return partial(AppendChannels, net_t, channels)


def _rename_upstream_keys(
    module: AppendChannels, state_dict: dict[str, Any], prefix: str, *_: object
) -> None:
    """Rename the weights of an upstream file in `state_dict`, in place; a load pre-hook."""
    del module
    rename_blocks({"blocks.0.": "net."}, state_dict, prefix)
