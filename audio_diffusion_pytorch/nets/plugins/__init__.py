"""Layers around a whole network, which is built with what they leave of its arguments."""

from .append_channels import AppendChannels as AppendChannels
from .append_channels import AppendChannelsPlugin as AppendChannelsPlugin
from .input_gain import GainPlugin as GainPlugin
from .input_gain import InputGain as InputGain
from .learned_transform import LearnedTransform as LearnedTransform
from .learned_transform import LTPlugin as LTPlugin

__all__ = [
    "AppendChannels",
    "AppendChannelsPlugin",
    "GainPlugin",
    "InputGain",
    "LTPlugin",
    "LearnedTransform",
]
