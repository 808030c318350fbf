"""How a model sounds: levels, spectra, variety, repeatability, over steps and solvers."""

from .alarms import check_finite_samples as check_finite_samples
from .alarms import check_sample_clipping as check_sample_clipping
from .alarms import check_sample_dc as check_sample_dc
from .alarms import check_sample_level as check_sample_level
from .alarms import check_sample_silence as check_sample_silence
from .examine import examine_sampling as examine_sampling
from .repeatability import check_repeatability as check_repeatability
from .solvers import check_solver_sweep as check_solver_sweep
from .spectrum import check_sample_spectrum as check_sample_spectrum
from .spectrum import check_step_sweep as check_step_sweep
from .spectrum import spectral_distance as spectral_distance
from .variety import check_memorisation as check_memorisation
from .variety import check_sample_variety as check_sample_variety

__all__ = [
    "check_finite_samples",
    "check_memorisation",
    "check_repeatability",
    "check_sample_clipping",
    "check_sample_dc",
    "check_sample_level",
    "check_sample_silence",
    "check_sample_spectrum",
    "check_sample_variety",
    "check_solver_sweep",
    "check_step_sweep",
    "examine_sampling",
    "spectral_distance",
]
