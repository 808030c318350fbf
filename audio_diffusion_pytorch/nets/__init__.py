"""Whole networks: `net(x (b, c, *t), time (b,), **cond) -> (b, c_out, *t)`."""

from .unet import UNetV0 as UNetV0

__all__ = ["UNetV0"]
