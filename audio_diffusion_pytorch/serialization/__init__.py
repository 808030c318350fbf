"""Models saved to a folder and made again from it, and weights of other makers read."""

from .pretrained import Pretrained as Pretrained
from .pretrained import Recorded as Recorded
from .pretrained import model_words as model_words
from .pretrained import recorded as recorded
from .upstream import LoadedWeights as LoadedWeights
from .upstream import load_upstream_weights as load_upstream_weights
from .upstream import read_checkpoint as read_checkpoint

__all__ = [
    "LoadedWeights",
    "Pretrained",
    "Recorded",
    "load_upstream_weights",
    "model_words",
    "read_checkpoint",
    "recorded",
]
