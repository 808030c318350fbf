"""Sound files, folders of them, labels, splits and synthetic sounds."""

from audio_diffusion_pytorch.data.audio_file import AUDIO_SUFFIXES as AUDIO_SUFFIXES
from audio_diffusion_pytorch.data.audio_file import AudioInfo as AudioInfo
from audio_diffusion_pytorch.data.audio_file import audio_info as audio_info
from audio_diffusion_pytorch.data.audio_file import read_audio as read_audio
from audio_diffusion_pytorch.data.clip import Clip as Clip
from audio_diffusion_pytorch.data.errors import AudioFileError as AudioFileError
from audio_diffusion_pytorch.data.errors import one_line_cause as one_line_cause
from audio_diffusion_pytorch.data.find import find_audio as find_audio
from audio_diffusion_pytorch.data.folder import AudioFolder as AudioFolder
from audio_diffusion_pytorch.data.label_sources import read_labels as read_labels
from audio_diffusion_pytorch.data.labels import LabelTable as LabelTable
from audio_diffusion_pytorch.data.normalize import loudness as loudness
from audio_diffusion_pytorch.data.report import DataReport as DataReport
from audio_diffusion_pytorch.data.sampler import StreamSampler as StreamSampler
from audio_diffusion_pytorch.data.save import SaveReport as SaveReport
from audio_diffusion_pytorch.data.save import save_audio as save_audio
from audio_diffusion_pytorch.data.source import read_recording as read_recording
from audio_diffusion_pytorch.data.split import Split as Split
from audio_diffusion_pytorch.data.split import split_files as split_files
from audio_diffusion_pytorch.data.synthetic import SyntheticSound as SyntheticSound
from audio_diffusion_pytorch.data.synthetic import SyntheticSounds as SyntheticSounds

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioFileError",
    "AudioFolder",
    "AudioInfo",
    "Clip",
    "DataReport",
    "LabelTable",
    "SaveReport",
    "Split",
    "StreamSampler",
    "SyntheticSound",
    "SyntheticSounds",
    "audio_info",
    "find_audio",
    "loudness",
    "one_line_cause",
    "read_audio",
    "read_labels",
    "read_recording",
    "save_audio",
    "split_files",
]
