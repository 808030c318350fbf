"""The loss against the possible: what a model knows beside what knowing less would reach."""

from .compare import compare_losses as compare_losses
from .examine import examine_losses as examine_losses
from .levels import DECIBELS as DECIBELS
from .levels import LEVELS_NAME as LEVELS_NAME
from .levels import Levels as Levels
from .levels import LossKind as LossKind
from .levels import LossMarks as LossMarks
from .levels import read_levels as read_levels
from .levels import write_levels as write_levels
from .linear import LinearDenoiser as LinearDenoiser
from .measure import LevelMeter as LevelMeter
from .measure import loss_marks as loss_marks
from .measure import measure_levels as measure_levels
from .measure import training_times as training_times
from .share import check_best as check_best
from .share import check_share as check_share
from .share import level_curves as level_curves
from .sign import check_answer_sign as check_answer_sign
from .trivial import check_trivial_loss as check_trivial_loss
from .trivial import trivial_finding as trivial_finding

__all__ = [
    "DECIBELS",
    "LEVELS_NAME",
    "LevelMeter",
    "Levels",
    "LinearDenoiser",
    "LossKind",
    "LossMarks",
    "check_answer_sign",
    "check_best",
    "check_share",
    "check_trivial_loss",
    "compare_losses",
    "examine_losses",
    "level_curves",
    "loss_marks",
    "measure_levels",
    "read_levels",
    "training_times",
    "trivial_finding",
    "write_levels",
]
