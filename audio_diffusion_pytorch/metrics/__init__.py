"""Measures of sounds that never see the model: pitch, spectrum, level."""

from audio_diffusion_pytorch.metrics.level import LevelRatio as LevelRatio
from audio_diffusion_pytorch.metrics.level import crest as crest
from audio_diffusion_pytorch.metrics.level import dc_offset as dc_offset
from audio_diffusion_pytorch.metrics.level import peak_db as peak_db
from audio_diffusion_pytorch.metrics.level import rms_db as rms_db
from audio_diffusion_pytorch.metrics.level import silent_share as silent_share
from audio_diffusion_pytorch.metrics.pitch import Pitch as Pitch
from audio_diffusion_pytorch.metrics.pitch import PitchAccuracy as PitchAccuracy
from audio_diffusion_pytorch.metrics.pitch import cents as cents
from audio_diffusion_pytorch.metrics.pitch import dominant_frequency as dominant_frequency
from audio_diffusion_pytorch.metrics.pitch import estimate_pitch as estimate_pitch
from audio_diffusion_pytorch.metrics.pitch import hz_to_midi as hz_to_midi
from audio_diffusion_pytorch.metrics.pitch import midi_to_hz as midi_to_hz
from audio_diffusion_pytorch.metrics.spectral import LogSpectralDistance as LogSpectralDistance
from audio_diffusion_pytorch.metrics.spectral import log_spectral_distance as log_spectral_distance
from audio_diffusion_pytorch.metrics.spectral import (
    log_spectral_distances as log_spectral_distances,
)
from audio_diffusion_pytorch.metrics.spectral import log_spectrogram as log_spectrogram
from audio_diffusion_pytorch.metrics.spectral import nearest_neighbour as nearest_neighbour
from audio_diffusion_pytorch.metrics.spectral import spectral_convergence as spectral_convergence

__all__ = [
    "LevelRatio",
    "LogSpectralDistance",
    "Pitch",
    "PitchAccuracy",
    "cents",
    "crest",
    "dc_offset",
    "dominant_frequency",
    "estimate_pitch",
    "hz_to_midi",
    "log_spectral_distance",
    "log_spectral_distances",
    "log_spectrogram",
    "midi_to_hz",
    "nearest_neighbour",
    "peak_db",
    "rms_db",
    "silent_share",
    "spectral_convergence",
]
