"""Sound files, folders of them, labels, splits and synthetic sounds."""

from audio_diffusion_pytorch.data.audio_file import AudioInfo as AudioInfo
from audio_diffusion_pytorch.data.audio_file import audio_info as audio_info
from audio_diffusion_pytorch.data.audio_file import read_audio as read_audio
from audio_diffusion_pytorch.data.clip import Clip as Clip
from audio_diffusion_pytorch.data.errors import AudioFileError as AudioFileError
from audio_diffusion_pytorch.data.errors import one_line_cause as one_line_cause
from audio_diffusion_pytorch.data.find import find_audio as find_audio
from audio_diffusion_pytorch.data.folder import AudioFolder as AudioFolder
from audio_diffusion_pytorch.data.labels import LabelTable as LabelTable
from audio_diffusion_pytorch.data.normalize import loudness as loudness
from audio_diffusion_pytorch.data.report import DataReport as DataReport
from audio_diffusion_pytorch.data.sampler import StreamSampler as StreamSampler

__all__ = [
    "AudioFileError",
    "AudioFolder",
    "AudioInfo",
    "Clip",
    "DataReport",
    "LabelTable",
    "StreamSampler",
    "audio_info",
    "find_audio",
    "loudness",
    "one_line_cause",
    "read_audio",
]
