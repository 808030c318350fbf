"""Models saved to a folder and made again from it, and weights of other makers read."""

from .pretrained import Pretrained as Pretrained
from .pretrained import Recorded as Recorded
from .pretrained import recorded as recorded

__all__ = ["Pretrained", "Recorded", "recorded"]
