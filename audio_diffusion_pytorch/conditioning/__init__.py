"""What a network is told beside the noisy signal: text as tokens, mel spectra."""

from .byte_text import ByteText as ByteText
from .clap_text import ClapText as ClapText
from .mel import MelSpectrogram as MelSpectrogram
from .pretrained_text import PretrainedText as PretrainedText
from .t5_text import T5Text as T5Text
from .text_encoder import EncodedText as EncodedText
from .text_encoder import TextEncoder as TextEncoder

__all__ = [
    "ByteText",
    "ClapText",
    "EncodedText",
    "MelSpectrogram",
    "PretrainedText",
    "T5Text",
    "TextEncoder",
]
