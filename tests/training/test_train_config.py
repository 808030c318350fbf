"""Settings that cannot work are refused as soon as they are given."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from audio_diffusion_pytorch.training import ConfigError, DataConfig, TrainConfig, load_config
from audio_diffusion_pytorch.training.precision import check_precision


@dataclass
class Config:
    train: TrainConfig = field(default_factory=TrainConfig)


@pytest.mark.parametrize(
    "word",
    ["learning_rate=-1", "max_steps=0", "max_minutes=0", "seed=-1", "beta2=1", "log_every=0"],
)
def test_numbers_out_of_range_are_refused_when_read(word):
    key, _, value = word.partition("=")
    with pytest.raises(ConfigError, match=rf"^train\.{key} must be .*, got {value}"):
        load_config(Config, None, [f"train.{word}"])


def test_fp16_needs_cuda():
    with pytest.raises(ValueError, match=r"train\.precision=fp16 needs a CUDA device, got cpu"):
        check_precision("fp16", torch.device("cpu"))
    check_precision("fp16", torch.device("cuda"))
    check_precision("auto", torch.device("cpu"))


def test_a_clip_has_at_least_two_samples():
    assert DataConfig(length=2).length == 2
    with pytest.raises(ConfigError, match=r"^data\.length must be at least 2, got 1$"):
        DataConfig(length=1)
