"""The diffusion method: schedules, parameterizations, objectives and samplers; knows no network."""

from .denoiser import bind_denoiser as bind_denoiser
from .denoiser import denoise as denoise
from .grids import LinearSchedule as LinearSchedule
from .grids import Schedule as Schedule
from .guidance import ClassifierFreeGuidance as ClassifierFreeGuidance
from .noise_schedules import HalfCircle as HalfCircle
from .objectives import Diffusion as Diffusion
from .objectives import GaussianDiffusion as GaussianDiffusion
from .objectives import VDiffusion as VDiffusion
from .parameterizations import VPrediction as VPrediction
from .sampler import sample as sample
from .samplers import Sampler as Sampler
from .samplers import VSampler as VSampler
from .solvers import Euler as Euler
from .times import Distribution as Distribution
from .times import Stratified as Stratified
from .times import UniformDistribution as UniformDistribution

__all__ = [
    "ClassifierFreeGuidance",
    "Diffusion",
    "Distribution",
    "Euler",
    "GaussianDiffusion",
    "HalfCircle",
    "LinearSchedule",
    "Sampler",
    "Schedule",
    "Stratified",
    "UniformDistribution",
    "VDiffusion",
    "VPrediction",
    "VSampler",
    "bind_denoiser",
    "denoise",
    "sample",
]
