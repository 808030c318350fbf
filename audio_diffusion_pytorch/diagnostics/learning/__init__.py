"""Whether a network learns: by heart, at which rate, with which weights, at which noise levels."""

from .attention import check_attention as check_attention
from .channels import check_batch_norm as check_batch_norm
from .channels import check_dead_channels as check_dead_channels
from .examine import examine_learning as examine_learning
from .gradients import block_weights as block_weights
from .gradients import check_gradients as check_gradients
from .level_errors import LevelErrors as LevelErrors
from .level_errors import level_errors as level_errors
from .noise_level import check_noise_level as check_noise_level
from .output import check_output_range as check_output_range
from .overfit import check_overfit as check_overfit
from .overfit import loss_fall_finding as loss_fall_finding
from .overfit import overfit_finding as overfit_finding
from .overfit import overfit_mark as overfit_mark
from .overfitting import check_overfitting as check_overfitting
from .rates import check_learning_rate as check_learning_rate
from .rates import check_recorded_rate as check_recorded_rate
from .rates import update_ratio as update_ratio
from .weights import check_ema as check_ema
from .weights import check_weights_moved as check_weights_moved

__all__ = [
    "LevelErrors",
    "block_weights",
    "check_attention",
    "check_batch_norm",
    "check_dead_channels",
    "check_ema",
    "check_gradients",
    "check_learning_rate",
    "check_noise_level",
    "check_output_range",
    "check_overfit",
    "check_overfitting",
    "check_recorded_rate",
    "check_weights_moved",
    "examine_learning",
    "level_errors",
    "loss_fall_finding",
    "overfit_finding",
    "overfit_mark",
    "update_ratio",
]
