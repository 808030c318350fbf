"""Whether a condition is heard, how strongly, where it gets lost, and what it gives away."""

from .examine import examine_conditioning as examine_conditioning
from .gain import conditioner_gain as conditioner_gain
from .influence import condition_influence as condition_influence
from .leak import condition_against_target as condition_against_target
from .leak import condition_leak as condition_leak
from .null import null_condition as null_condition
from .probe import probe_conditioner_gain as probe_conditioner_gain
from .recordings import label_identity as label_identity
from .recordings import shared_recordings as shared_recordings
from .sampled import SamplingLike as SamplingLike
from .sampled import condition_at_sampling as condition_at_sampling
from .sampled import sampling_like as sampling_like
from .spread import condition_spread as condition_spread

__all__ = [
    "SamplingLike",
    "condition_against_target",
    "condition_at_sampling",
    "condition_influence",
    "condition_leak",
    "condition_spread",
    "conditioner_gain",
    "examine_conditioning",
    "label_identity",
    "null_condition",
    "probe_conditioner_gain",
    "sampling_like",
    "shared_recordings",
]
