"""Training: the loop and what it needs."""

from .checkpoint import CheckpointFolder as CheckpointFolder
from .checkpoint import find_checkpoint as find_checkpoint
from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import load_weights as load_weights
from .checkpoint import save_checkpoint as save_checkpoint
from .checkpoint import save_weights as save_weights
from .distributed import Processes as Processes
from .distributed import choose_device as choose_device
from .distributed import start_processes as start_processes
from .ema import EMA as EMA
from .ema import PowerDecay as PowerDecay
from .loop import TrainingError as TrainingError
from .loop import TrainResult as TrainResult
from .loop import fit as fit
from .objective import LossFunction as LossFunction
from .objective import diffusion_loss as diffusion_loss
from .precision import Precision as Precision
from .precision import choose_precision as choose_precision
from .rates import Plan as Plan
from .rates import Planner as Planner
from .rates import rate_factor as rate_factor
from .seeds import derive_seed as derive_seed
from .seeds import generator_for as generator_for
from .train_config import TrainConfig as TrainConfig
from .validation import Validation as Validation

__all__ = [
    "EMA",
    "CheckpointFolder",
    "LossFunction",
    "Plan",
    "Planner",
    "PowerDecay",
    "Precision",
    "Processes",
    "TrainConfig",
    "TrainResult",
    "TrainingError",
    "Validation",
    "choose_device",
    "choose_precision",
    "derive_seed",
    "diffusion_loss",
    "find_checkpoint",
    "fit",
    "generator_for",
    "load_checkpoint",
    "load_weights",
    "rate_factor",
    "save_checkpoint",
    "save_weights",
    "start_processes",
]
