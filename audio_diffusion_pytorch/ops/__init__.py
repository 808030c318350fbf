"""Pure functions on tensors, without parameters or state."""

from audio_diffusion_pytorch.ops.classes import refuse_class as refuse_class
from audio_diffusion_pytorch.ops.griffin_lim import griffin_lim as griffin_lim
from audio_diffusion_pytorch.ops.griffin_lim import mel_to_magnitudes as mel_to_magnitudes
from audio_diffusion_pytorch.ops.griffin_lim import overlap_add as overlap_add
from audio_diffusion_pytorch.ops.mel import complex_spectrogram as complex_spectrogram
from audio_diffusion_pytorch.ops.mel import hertz_to_mel as hertz_to_mel
from audio_diffusion_pytorch.ops.mel import mel_filter_bank as mel_filter_bank
from audio_diffusion_pytorch.ops.mel import mel_spectrogram as mel_spectrogram
from audio_diffusion_pytorch.ops.padding import reflect_pad as reflect_pad
from audio_diffusion_pytorch.ops.pitch_salience import LogSpectrum as LogSpectrum
from audio_diffusion_pytorch.ops.pitch_salience import Salience as Salience
from audio_diffusion_pytorch.ops.pitch_salience import band_power as band_power
from audio_diffusion_pytorch.ops.pitch_salience import harmonic_salience as harmonic_salience
from audio_diffusion_pytorch.ops.pitch_salience import log_power_spectrum as log_power_spectrum
from audio_diffusion_pytorch.ops.pitch_salience import pitch_spectrum as pitch_spectrum
from audio_diffusion_pytorch.ops.random import check_generator as check_generator
from audio_diffusion_pytorch.ops.random import randn as randn
from audio_diffusion_pytorch.ops.random import randn_like as randn_like
from audio_diffusion_pytorch.ops.resample import downsample as downsample
from audio_diffusion_pytorch.ops.resample import resample as resample
from audio_diffusion_pytorch.ops.resample import upsample as upsample
from audio_diffusion_pytorch.ops.shapes import broadcasts_over as broadcasts_over
from audio_diffusion_pytorch.ops.shapes import check_mask_values as check_mask_values
from audio_diffusion_pytorch.ops.shapes import lift as lift
from audio_diffusion_pytorch.ops.stft import frame as frame
from audio_diffusion_pytorch.ops.stft import mean_power_spectrum as mean_power_spectrum
from audio_diffusion_pytorch.ops.stft import power_spectrogram as power_spectrogram

__all__ = [
    "LogSpectrum",
    "Salience",
    "band_power",
    "broadcasts_over",
    "check_generator",
    "check_mask_values",
    "complex_spectrogram",
    "downsample",
    "frame",
    "griffin_lim",
    "harmonic_salience",
    "hertz_to_mel",
    "lift",
    "log_power_spectrum",
    "mean_power_spectrum",
    "mel_filter_bank",
    "mel_spectrogram",
    "mel_to_magnitudes",
    "overlap_add",
    "pitch_spectrum",
    "power_spectrogram",
    "randn",
    "randn_like",
    "reflect_pad",
    "refuse_class",
    "resample",
    "upsample",
]
