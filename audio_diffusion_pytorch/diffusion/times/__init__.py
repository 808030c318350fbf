"""Which noise levels a training batch sees."""

from .bell import LogitNormal as LogitNormal
from .bell import LogNormalDistribution as LogNormalDistribution
from .distribution import Distribution as Distribution
from .distribution import UniformDistribution as UniformDistribution
from .distribution import draw_times as draw_times
from .sharing import shared_strata as shared_strata
from .sobol import Sobol as Sobol
from .stratified import Stratified as Stratified
from .tangent import VKDistribution as VKDistribution

__all__ = [
    "Distribution",
    "LogNormalDistribution",
    "LogitNormal",
    "Sobol",
    "Stratified",
    "UniformDistribution",
    "VKDistribution",
    "draw_times",
    "shared_strata",
]
