"""Building blocks of networks: plain modules and functions on `(b, c, *t)` tensors."""

from .attention import Attention as Attention
from .class_embedding import ClassEmbedding as ClassEmbedding
from .conv import Downsample as Downsample
from .conv import Upsample as Upsample
from .conv import conv_nd as conv_nd
from .embeddings import FixedEmbedding as FixedEmbedding
from .embeddings import NumberEmbedder as NumberEmbedder
from .embeddings import TimeEmbedding as TimeEmbedding
from .energy_embedding import EnergyEmbedding as EnergyEmbedding
from .modulation import InjectChannels as InjectChannels
from .modulation import MergeCat as MergeCat
from .modulation import MergeGated as MergeGated
from .modulation import MergeModulate as MergeModulate
from .modulation import Modulation as Modulation
from .padding import crop_to as crop_to
from .padding import pad_to as pad_to
from .resnet import ConvBlock as ConvBlock
from .resnet import ResnetBlock as ResnetBlock

__all__ = [
    "Attention",
    "ClassEmbedding",
    "ConvBlock",
    "Downsample",
    "EnergyEmbedding",
    "FixedEmbedding",
    "InjectChannels",
    "MergeCat",
    "MergeGated",
    "MergeModulate",
    "Modulation",
    "NumberEmbedder",
    "ResnetBlock",
    "TimeEmbedding",
    "Upsample",
    "conv_nd",
    "crop_to",
    "pad_to",
]
