"""What the tests of the networks share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from audio_diffusion_pytorch.nets import UNetV0

GOLDEN = Path(__file__).parents[1] / "golden"


class Golden(NamedTuple):
    arguments: dict[str, Any]
    weights: dict[str, torch.Tensor]
    inputs: dict[str, Any]
    output: torch.Tensor


def read_golden(name: str) -> Golden:
    arrays = np.load(GOLDEN / f"upstream_unet_{name}.npz")
    arguments, inputs = json.loads(str(arrays["arguments"]))
    weights: dict[str, torch.Tensor] = {}
    for key in arrays.files:
        kind, _, rest = key.partition("/")
        if kind == "weight":
            weights[rest] = torch.from_numpy(arrays[key])
            # Upstream's state dict holds the tied time layer twice.
            if rest.startswith("blocks.1.blocks.0."):
                weights[rest.replace("blocks.1.blocks.0.", "blocks.1.blocks.1.")] = weights[rest]
        elif kind == "input" and rest.startswith("channels/"):
            inputs.setdefault("channels", []).append(torch.from_numpy(arrays[key]))
        elif kind == "input":
            inputs[rest] = torch.from_numpy(arrays[key])
    return Golden(arguments, weights, inputs, torch.from_numpy(arrays["output"]))


@pytest.fixture
def golden():
    """Read one of upstream's reference cases by its name."""
    return read_golden


@pytest.fixture
def small_unet():
    """Make a small network with everything in it; keywords replace its arguments."""

    def make(**changes: Any) -> UNetV0:
        arguments: dict[str, Any] = {
            "dim": 1,
            "in_channels": 2,
            "channels": [8, 16],
            "factors": [2, 4],
            "items": [1, 1],
            "attentions": [0, 1],
            "attention_heads": 2,
            "attention_features": 8,
            "modulation_features": 32,
        }
        torch.manual_seed(0)
        return UNetV0(**{**arguments, **changes})

    return make
