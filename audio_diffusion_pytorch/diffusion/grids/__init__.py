"""Which times a sampler visits, from noise to clean (upstream calls this a schedule).

A grid of n times is walked in n - 1 steps; its last time is the level of the result.
"""

from .base import Schedule as Schedule
from .even_levels import EvenLevels as EvenLevels
from .explicit import ListSchedule as ListSchedule
from .exponential import ExponentialSchedule as ExponentialSchedule
from .karras import KarrasSchedule as KarrasSchedule
from .linear import LinearSchedule as LinearSchedule
from .shifted import ShiftedSchedule as ShiftedSchedule

__all__ = [
    "EvenLevels",
    "ExponentialSchedule",
    "KarrasSchedule",
    "LinearSchedule",
    "ListSchedule",
    "Schedule",
    "ShiftedSchedule",
]
