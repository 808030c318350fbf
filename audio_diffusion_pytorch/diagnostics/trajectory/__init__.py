"""A sampler on its way, seen from the network: recorded, and held against training."""

from .clamping import check_clamped_state as check_clamped_state
from .examine import examine_trajectory as examine_trajectory
from .guesses import check_guesses as check_guesses
from .recording import NetCall as NetCall
from .recording import Trajectory as Trajectory
from .recording import record_trajectory as record_trajectory
from .recording import sample_quietly as sample_quietly
from .recording import times_told as times_told
from .recording import unchanged_random_state as unchanged_random_state
from .reference import RealLevel as RealLevel
from .reference import Reference as Reference
from .reference import real_reference as real_reference
from .state_size import check_trajectory as check_trajectory
from .steps import TrueLevel as TrueLevel
from .steps import true_level as true_level
from .told_levels import check_told_levels as check_told_levels
from .words import decibels as decibels

__all__ = [
    "NetCall",
    "RealLevel",
    "Reference",
    "Trajectory",
    "TrueLevel",
    "check_clamped_state",
    "check_guesses",
    "check_told_levels",
    "check_trajectory",
    "decibels",
    "examine_trajectory",
    "real_reference",
    "record_trajectory",
    "sample_quietly",
    "times_told",
    "true_level",
    "unchanged_random_state",
]
