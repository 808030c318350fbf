"""Whole networks: `net(x (b, c, *t), time (b,), **cond) -> (b, c_out, *t)`."""

from typing import TYPE_CHECKING, Any

from .plugins import AppendChannels as AppendChannels
from .plugins import AppendChannelsPlugin as AppendChannelsPlugin
from .plugins import GainPlugin as GainPlugin
from .plugins import InputGain as InputGain
from .plugins import LearnedTransform as LearnedTransform
from .plugins import LTPlugin as LTPlugin
from .unet import UNetV0 as UNetV0

if TYPE_CHECKING:
    from .xunet import XUNet as XUNet

__all__ = [
    "AppendChannels",
    "AppendChannelsPlugin",
    "GainPlugin",
    "InputGain",
    "LTPlugin",
    "LearnedTransform",
    "UNetV0",
    "XUNet",
]


def __getattr__(name: str) -> Any:
    """Import a-unet only for who asks for its `XUNet`."""
    if name != "XUNet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import xunet

    return xunet.XUNet
