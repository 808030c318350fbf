"""`XUNet` of a-unet, a U-Net put together from blocks of one's own; imported when first asked for.

It is the class of the a-unet package itself, so that its blocks (`a_unet.apex`) fit into it. A
network made of it cannot be deep-copied or pickled, as a-unet builds it out of closures: for an
averaged copy, as `training.EMA` keeps, use `UNetV0`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a_unet.apex import XUNet as XUNet

__all__ = ["XUNet"]


def __getattr__(name: str) -> Any:
    """Import a-unet for its one name.

    Raises:
        ImportError: If a-unet is not installed.
    """
    if name != "XUNet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from a_unet.apex import XUNet
    except ImportError as error:
        raise ImportError('XUNet needs a-unet: pip install "a-unet>=0.0.16"') from error
    return XUNet
