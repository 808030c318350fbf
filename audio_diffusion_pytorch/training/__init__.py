"""Training: the loop and what stands around it, from the settings to the run folder."""

from .checkpoint import CheckpointFolder as CheckpointFolder
from .checkpoint import find_checkpoint as find_checkpoint
from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import load_weights as load_weights
from .checkpoint import save_checkpoint as save_checkpoint
from .checkpoint import save_weights as save_weights
from .command_line import Arguments as Arguments
from .command_line import RecipeParser as RecipeParser
from .command_line import parse_recipe as parse_recipe
from .command_line import run_recipe as run_recipe
from .comparison import Compared as Compared
from .comparison import Comparison as Comparison
from .comparison import Measure as Measure
from .config import ConfigError as ConfigError
from .config import ConfigKey as ConfigKey
from .config import config_keys as config_keys
from .config import config_text as config_text
from .config import config_to_dict as config_to_dict
from .config import load_config as load_config
from .config import save_config as save_config
from .console import tee_console as tee_console
from .distributed import Processes as Processes
from .distributed import choose_device as choose_device
from .distributed import start_processes as start_processes
from .ema import EMA as EMA
from .ema import PowerDecay as PowerDecay
from .loggers import JSONLinesLogger as JSONLinesLogger
from .loggers import Logger as Logger
from .loggers import Resumable as Resumable
from .loggers import TensorBoardLogger as TensorBoardLogger
from .loggers import read_scalars as read_scalars
from .loop import TrainingError as TrainingError
from .loop import TrainResult as TrainResult
from .loop import fit as fit
from .objective import LossFunction as LossFunction
from .objective import diffusion_loss as diffusion_loss
from .open_data import DataConfig as DataConfig
from .open_data import clip_batches as clip_batches
from .open_data import open_data as open_data
from .post_hoc_ema import PostHocEMA as PostHocEMA
from .post_hoc_ema import Reconstruction as Reconstruction
from .post_hoc_ema import Snapshot as Snapshot
from .post_hoc_ema import find_snapshots as find_snapshots
from .post_hoc_ema import reconstruct_ema as reconstruct_ema
from .power_function import PowerFunction as PowerFunction
from .precision import Precision as Precision
from .precision import choose_precision as choose_precision
from .rates import Plan as Plan
from .rates import Planner as Planner
from .rates import rate_factor as rate_factor
from .run_folder import Run as Run
from .seeds import derive_seed as derive_seed
from .seeds import generator_for as generator_for
from .session import Session as Session
from .session import open_session as open_session
from .sounds import MadeSounds as MadeSounds
from .sounds import make_sounds as make_sounds
from .sounds import timed_sounds as timed_sounds
from .sounds import write_sounds as write_sounds
from .train_config import TrainConfig as TrainConfig
from .validation import Validation as Validation
from .versions import git_revision as git_revision
from .versions import versions as versions

__all__ = [
    "EMA",
    "Arguments",
    "CheckpointFolder",
    "Compared",
    "Comparison",
    "ConfigError",
    "ConfigKey",
    "DataConfig",
    "JSONLinesLogger",
    "Logger",
    "LossFunction",
    "MadeSounds",
    "Measure",
    "Plan",
    "Planner",
    "PostHocEMA",
    "PowerDecay",
    "PowerFunction",
    "Precision",
    "Processes",
    "RecipeParser",
    "Reconstruction",
    "Resumable",
    "Run",
    "Session",
    "Snapshot",
    "TensorBoardLogger",
    "TrainConfig",
    "TrainResult",
    "TrainingError",
    "Validation",
    "choose_device",
    "choose_precision",
    "clip_batches",
    "config_keys",
    "config_text",
    "config_to_dict",
    "derive_seed",
    "diffusion_loss",
    "find_checkpoint",
    "find_snapshots",
    "fit",
    "generator_for",
    "git_revision",
    "load_checkpoint",
    "load_config",
    "load_weights",
    "make_sounds",
    "open_data",
    "open_session",
    "parse_recipe",
    "rate_factor",
    "read_scalars",
    "reconstruct_ema",
    "run_recipe",
    "save_checkpoint",
    "save_config",
    "save_weights",
    "start_processes",
    "tee_console",
    "timed_sounds",
    "versions",
    "write_sounds",
]
