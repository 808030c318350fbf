"""Numbers that stop being finite: which module made them, and what the blocks say meanwhile."""

from .check import check_numerics as check_numerics
from .check import numerics_finding as numerics_finding
from .culprit import Culprit as Culprit
from .culprit import Numbers as Numbers
from .culprit import count_numbers as count_numbers
from .health import BlockHealth as BlockHealth
from .health import called_blocks as called_blocks
from .watch import NumericsWatch as NumericsWatch

__all__ = [
    "BlockHealth",
    "Culprit",
    "Numbers",
    "NumericsWatch",
    "called_blocks",
    "check_numerics",
    "count_numbers",
    "numerics_finding",
]
