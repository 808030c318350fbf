"""Measures of sounds that never see the model: pitch, spectrum, level, variety."""

from audio_diffusion_pytorch.metrics.frechet import FrechetDistance as FrechetDistance
from audio_diffusion_pytorch.metrics.frechet import Moments as Moments
from audio_diffusion_pytorch.metrics.frechet import feature_moments as feature_moments
from audio_diffusion_pytorch.metrics.frechet import frechet_distance as frechet_distance
from audio_diffusion_pytorch.metrics.frechet import (
    frechet_distance_without_bias as frechet_distance_without_bias,
)
from audio_diffusion_pytorch.metrics.frechet import (
    gaussian_frechet_distance as gaussian_frechet_distance,
)
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
from audio_diffusion_pytorch.metrics.spectral_embedding import (
    SpectralEmbedding as SpectralEmbedding,
)

__all__ = [
    "FrechetDistance",
    "LevelRatio",
    "LogSpectralDistance",
    "Moments",
    "Pitch",
    "PitchAccuracy",
    "SpectralEmbedding",
    "cents",
    "crest",
    "dc_offset",
    "dominant_frequency",
    "estimate_pitch",
    "feature_moments",
    "frechet_distance",
    "frechet_distance_without_bias",
    "gaussian_frechet_distance",
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
