"""The noise levels: where training ends, which it visits, and whether sampling walks the same."""

from .bounds import check_clean_bound as check_clean_bound
from .bounds import check_start_noise as check_start_noise
from .consistency import check_parameterization as check_parameterization
from .consistency import check_taught_target as check_taught_target
from .coverage import check_batch_levels as check_batch_levels
from .coverage import check_level_coverage as check_level_coverage
from .coverage import draw_training_times as draw_training_times
from .discrete import AlignedLevels as AlignedLevels
from .discrete import align_levels as align_levels
from .discrete import check_levels_kept as check_levels_kept
from .examine import examine_schedule as examine_schedule
from .grid import check_sampling_grid as check_sampling_grid
from .perfect import PerfectWalk as PerfectWalk
from .perfect import check_levels_visited as check_levels_visited
from .perfect import check_noise_kept as check_noise_kept
from .perfect import check_perfect_network as check_perfect_network
from .perfect import walk_perfectly as walk_perfectly
from .table import ScheduleRow as ScheduleRow
from .table import known_schedules as known_schedules
from .table import schedule_table as schedule_table
from .table import schedule_table_text as schedule_table_text
from .terminal import check_first_step as check_first_step
from .terminal import check_terminal_snr as check_terminal_snr

__all__ = [
    "AlignedLevels",
    "PerfectWalk",
    "ScheduleRow",
    "align_levels",
    "check_batch_levels",
    "check_clean_bound",
    "check_first_step",
    "check_level_coverage",
    "check_levels_kept",
    "check_levels_visited",
    "check_noise_kept",
    "check_parameterization",
    "check_perfect_network",
    "check_sampling_grid",
    "check_start_noise",
    "check_taught_target",
    "check_terminal_snr",
    "draw_training_times",
    "examine_schedule",
    "known_schedules",
    "schedule_table",
    "schedule_table_text",
    "walk_perfectly",
]
