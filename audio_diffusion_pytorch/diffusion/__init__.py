"""The diffusion method: schedules, objectives, solvers, guidance; it knows no network."""

from typing import TYPE_CHECKING

from . import _upstream_names
from .autoregressive import ARVDiffusion as ARVDiffusion
from .autoregressive import ARVSampler as ARVSampler
from .closed_form import GaussianMixture as GaussianMixture
from .constraints import Continuation as Continuation
from .constraints import Inpainting as Inpainting
from .constraints import ReconstructionGuidance as ReconstructionGuidance
from .constraints import RePaint as RePaint
from .constraints import keep_frames as keep_frames
from .coupling import Coupling as Coupling
from .coupling import OptimalTransport as OptimalTransport
from .denoiser import bind_denoiser as bind_denoiser
from .denoiser import denoise as denoise
from .grids import EvenLevels as EvenLevels
from .grids import ExponentialSchedule as ExponentialSchedule
from .grids import KarrasSchedule as KarrasSchedule
from .grids import LinearSchedule as LinearSchedule
from .grids import ListSchedule as ListSchedule
from .grids import Schedule as Schedule
from .grids import ShiftedSchedule as ShiftedSchedule
from .guidance import AdaptiveProjectedGuidance as AdaptiveProjectedGuidance
from .guidance import Autoguidance as Autoguidance
from .guidance import CFGPlusPlus as CFGPlusPlus
from .guidance import ClassifierFreeGuidance as ClassifierFreeGuidance
from .guidance import Interval as Interval
from .guidance import Rescale as Rescale
from .init_signal import start_from as start_from
from .init_signal import vary as vary
from .inpainting import Inpainter as Inpainter
from .inpainting import VInpainter as VInpainter
from .noise import BrownianNoise as BrownianNoise
from .noise import GaussianNoise as GaussianNoise
from .noise_schedules import DiscreteBetas as DiscreteBetas
from .noise_schedules import HalfCircle as HalfCircle
from .noise_schedules import InputScaled as InputScaled
from .noise_schedules import Interpolated as Interpolated
from .noise_schedules import Laplace as Laplace
from .noise_schedules import LinearBeta as LinearBeta
from .noise_schedules import Shifted as Shifted
from .noise_schedules import Sigmoid as Sigmoid
from .noise_schedules import StraightPath as StraightPath
from .noise_schedules import VarianceExploding as VarianceExploding
from .objectives import Diffusion as Diffusion
from .objectives import FlowDiffusion as FlowDiffusion
from .objectives import GaussianDiffusion as GaussianDiffusion
from .objectives import KDiffusion as KDiffusion
from .objectives import VDiffusion as VDiffusion
from .objectives import VKDiffusion as VKDiffusion
from .parameterizations import CleanPrediction as CleanPrediction
from .parameterizations import EDMPreconditioning as EDMPreconditioning
from .parameterizations import EpsilonPrediction as EpsilonPrediction
from .parameterizations import FlowPrediction as FlowPrediction
from .parameterizations import VPrediction as VPrediction
from .sampler import renoise as renoise
from .sampler import sample as sample
from .samplers import ADPM2Sampler as ADPM2Sampler
from .samplers import AEulerSampler as AEulerSampler
from .samplers import DiffusionSampler as DiffusionSampler
from .samplers import KarrasSampler as KarrasSampler
from .samplers import Sampler as Sampler
from .samplers import VSampler as VSampler
from .solvers import DEIS as DEIS
from .solvers import DPM2 as DPM2
from .solvers import LMS as LMS
from .solvers import RK4 as RK4
from .solvers import Ancestral as Ancestral
from .solvers import DPMpp2M as DPMpp2M
from .solvers import DPMpp2S as DPMpp2S
from .solvers import DPMpp3M as DPMpp3M
from .solvers import DPMppSDE as DPMppSDE
from .solvers import Euler as Euler
from .solvers import EulerAncestral as EulerAncestral
from .solvers import Heun as Heun
from .solvers import PingPong as PingPong
from .solvers import UniPC as UniPC
from .spans import continue_signal as continue_signal
from .spans import generate_spans as generate_spans
from .thresholding import DynamicThreshold as DynamicThreshold
from .thresholding import StaticThreshold as StaticThreshold
from .times import Distribution as Distribution
from .times import LogitNormal as LogitNormal
from .times import LogNormalDistribution as LogNormalDistribution
from .times import Sobol as Sobol
from .times import Stratified as Stratified
from .times import UniformDistribution as UniformDistribution
from .times import VKDistribution as VKDistribution
from .weights import EDMWeight as EDMWeight
from .weights import LearnedUncertainty as LearnedUncertainty
from .weights import MinSNR as MinSNR
from .weights import Uniform as Uniform

__all__ = [
    "DEIS",
    "DPM2",
    "LMS",
    "RK4",
    "ADPM2Sampler",
    "AEulerSampler",
    "ARVDiffusion",
    "ARVSampler",
    "AdaptiveProjectedGuidance",
    "Ancestral",
    "Autoguidance",
    "BrownianNoise",
    "CFGPlusPlus",
    "ClassifierFreeGuidance",
    "CleanPrediction",
    "Continuation",
    "Coupling",
    "DPMpp2M",
    "DPMpp2S",
    "DPMpp3M",
    "DPMppSDE",
    "Diffusion",
    "DiffusionSampler",
    "DiscreteBetas",
    "Distribution",
    "DynamicThreshold",
    "EDMPreconditioning",
    "EDMWeight",
    "EpsilonPrediction",
    "Euler",
    "EulerAncestral",
    "EvenLevels",
    "ExponentialSchedule",
    "FlowDiffusion",
    "FlowPrediction",
    "GaussianDiffusion",
    "GaussianMixture",
    "GaussianNoise",
    "HalfCircle",
    "Heun",
    "Inpainter",
    "Inpainting",
    "InputScaled",
    "Interpolated",
    "Interval",
    "KDiffusion",
    "KarrasSampler",
    "KarrasSchedule",
    "Laplace",
    "LearnedUncertainty",
    "LinearBeta",
    "LinearSchedule",
    "ListSchedule",
    "LogNormalDistribution",
    "LogitNormal",
    "MinSNR",
    "OptimalTransport",
    "PingPong",
    "RePaint",
    "ReconstructionGuidance",
    "Rescale",
    "Sampler",
    "Schedule",
    "Shifted",
    "ShiftedSchedule",
    "Sigmoid",
    "Sobol",
    "StaticThreshold",
    "StraightPath",
    "Stratified",
    "UniPC",
    "Uniform",
    "UniformDistribution",
    "VDiffusion",
    "VInpainter",
    "VKDiffusion",
    "VKDistribution",
    "VPrediction",
    "VSampler",
    "VarianceExploding",
    "bind_denoiser",
    "continue_signal",
    "denoise",
    "generate_spans",
    "keep_frames",
    "renoise",
    "sample",
    "start_from",
    "vary",
]
__all__ += _upstream_names.__all__

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Return what upstream's module held beside its classes."""
        if name in _upstream_names.__all__:
            return getattr(_upstream_names, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
