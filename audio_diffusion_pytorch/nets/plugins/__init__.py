"""Layers around a whole network, which is built with what they leave of its arguments."""

from .append_channels import AppendChannels as AppendChannels
from .append_channels import AppendChannelsPlugin as AppendChannelsPlugin
from .learned_transform import LearnedTransform as LearnedTransform
from .learned_transform import LTPlugin as LTPlugin

__all__ = ["AppendChannels", "AppendChannelsPlugin", "LTPlugin", "LearnedTransform"]
