"""What a model consists of, looks at, takes and costs: found by running it."""

from .calls import ModelCall as ModelCall
from .calls import clip_call as clip_call
from .calls import find_channels as find_channels
from .calls import network_call as network_call
from .cost import Cost as Cost
from .cost import LiveMemory as LiveMemory
from .cost import measure_cost as measure_cost
from .lengths import LengthsAccepted as LengthsAccepted
from .lengths import accepted_lengths as accepted_lengths
from .receptive_field import LocalView as LocalView
from .receptive_field import Reach as Reach
from .receptive_field import find_reach as find_reach
from .receptive_field import measure_reach as measure_reach
from .receptive_field import randomize as randomize
from .summary import ModelSummary as ModelSummary
from .summary import ReceptiveField as ReceptiveField
from .summary import measure_receptive_field as measure_receptive_field
from .summary import summarize_model as summarize_model
from .tree import ModuleRow as ModuleRow
from .tree import module_rows as module_rows
from .tree import tree_text as tree_text
from .weights import WeightCounts as WeightCounts
from .weights import count_weights as count_weights

__all__ = [
    "Cost",
    "LengthsAccepted",
    "LiveMemory",
    "LocalView",
    "ModelCall",
    "ModelSummary",
    "ModuleRow",
    "Reach",
    "ReceptiveField",
    "WeightCounts",
    "accepted_lengths",
    "clip_call",
    "count_weights",
    "find_channels",
    "find_reach",
    "measure_cost",
    "measure_reach",
    "measure_receptive_field",
    "module_rows",
    "network_call",
    "randomize",
    "summarize_model",
    "tree_text",
]
