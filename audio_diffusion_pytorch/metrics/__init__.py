"""Measures of sound that never see the model: pitch."""

from audio_diffusion_pytorch.metrics.pitch import Pitch as Pitch
from audio_diffusion_pytorch.metrics.pitch import PitchAccuracy as PitchAccuracy
from audio_diffusion_pytorch.metrics.pitch import cents as cents
from audio_diffusion_pytorch.metrics.pitch import dominant_frequency as dominant_frequency
from audio_diffusion_pytorch.metrics.pitch import estimate_pitch as estimate_pitch
from audio_diffusion_pytorch.metrics.pitch import hz_to_midi as hz_to_midi
from audio_diffusion_pytorch.metrics.pitch import midi_to_hz as midi_to_hz

__all__ = [
    "Pitch",
    "PitchAccuracy",
    "cents",
    "dominant_frequency",
    "estimate_pitch",
    "hz_to_midi",
    "midi_to_hz",
]
