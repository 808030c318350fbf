"""Upstream's networks and their parts, under upstream's module path, for code that imports them.

Of the package itself nothing is here. The blocks of a-unet, from which upstream built its network
and people build theirs, and torchaudio's `transforms` come from those packages when they are asked
for; a star import asks for all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import (  # noqa: UP035  these very names are taken from here
    TYPE_CHECKING,
    Callable,
    Optional,
    Sequence,
)

import torch
import torch.nn.functional as F
from einops import pack, unpack
from torch import Tensor, nn

from audio_diffusion_pytorch.conditioning import MelSpectrogram
from audio_diffusion_pytorch.nets import AppendChannelsPlugin, LTPlugin, UNetV0
from audio_diffusion_pytorch.ops.upstream_helpers import default, exists

# Where the names that are not ours are fetched from.
_ELSEWHERE = {
    "AttentionItem": "a_unet.apex",
    "ClassifierFreeGuidancePlugin": "a_unet",
    "Conv": "a_unet",
    "CrossAttentionItem": "a_unet.apex",
    "InjectChannelsItem": "a_unet.apex",
    "ModulationItem": "a_unet.apex",
    "Module": "a_unet",
    "ResnetItem": "a_unet.apex",
    "SkipCat": "a_unet.apex",
    "SkipModulate": "a_unet.apex",
    "TextConditioningPlugin": "a_unet",
    "TimeConditioningPlugin": "a_unet",
    "XBlock": "a_unet.apex",
    "XUNet": "a_unet.apex",
    "transforms": "torchaudio",
}

__all__ = [
    "AppendChannelsPlugin",
    "Callable",
    "F",
    "LTPlugin",
    "MelSpectrogram",
    "Optional",
    "Sequence",
    "Tensor",
    "UNetV0",
    "default",
    "exists",
    "nn",
    "pack",
    "torch",
    "unpack",
]
__all__ += list(_ELSEWHERE)

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Return what upstream's module held of other packages.

        Raises:
            ImportError: If that package is missing, or not one of this torch.
        """
        if name not in _ELSEWHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        package = _ELSEWHERE[name].partition(".")[0].replace("_", "-")
        try:
            return getattr(import_module(_ELSEWHERE[name]), name)
        except (ImportError, OSError) as error:  # an extension for another torch does not load
            raise ImportError(
                f"{name} is of the package {package}, which cannot be imported ({error}): "
                f"pip install {package}, in the build that fits this torch"
            ) from error
