"""Every model and network saves and loads, and every part of a model can be saved with it.

Models and how to build them are those of `test_modules.py`, parts those of `test_protocols.py`.
"""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch import models, nets
from audio_diffusion_pytorch.serialization import Pretrained
from audio_diffusion_pytorch.serialization.described import describe, find_unknown
from audio_diffusion_pytorch.serialization.rebuilt import rebuild


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES, PARTS = load("test_modules"), load("test_protocols")
MODELS = sorted(
    name
    for name, cls in MODULES.CLASSES.items()
    if issubclass(cls, Pretrained) and name in MODULES.EXAMPLES
)
# What a model is made of; guidance, constraints and noise are chosen when it is sampled.
KINDS = (
    PARTS.NOISE_SCHEDULES,
    PARTS.PARAMETERIZATIONS,
    PARTS.TIME_SAMPLERS,
    PARTS.GRIDS,
    PARTS.SOLVERS,
    PARTS.AUTOENCODERS,
    PARTS.LOSS_WEIGHTS,
    PARTS.GUIDANCES,
)


@pytest.mark.parametrize("package", [models, nets], ids=lambda package: package.__name__)
def test_every_public_model_and_network_can_be_saved(package):
    public = {
        name: value
        for name, value in vars(package).items()
        if name in package.__all__
        and isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__.startswith(package.__name__)
        and not getattr(value, "__abstractmethods__", None)
    }
    without = sorted(name for name, cls in public.items() if not issubclass(cls, Pretrained))
    assert public and not without, (
        f"{without} cannot be saved: derive them from audio_diffusion_pytorch.serialization."
        "Pretrained, before nn.Module"
    )


@pytest.mark.filterwarnings("ignore:config.json cannot hold")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_saves_and_loads(name, tmp_path):
    """With what a file cannot name, such as a class of the tests, given again."""
    model, x = MODULES.build(name), MODULES.sound(name)
    model.save_pretrained(tmp_path)
    arguments = json.loads((tmp_path / "config.json").read_text())["arguments"]
    again = {path: copy.deepcopy(getattr(model, path)) for path, _, _ in find_unknown(arguments)}
    own = [part for part in vars(MODULES).values() if hasattr(part, "__qualname__")]
    loaded = type(model).from_pretrained(tmp_path, trusted=own, **again)
    MODULES.assert_same(MODULES.outputs(name, loaded, x), MODULES.outputs(name, model, x))


@pytest.mark.parametrize("name", sorted({name for kind in KINDS for name in kind}))
def test_a_part_survives(name):
    """Whether it records its arguments or keeps them as attributes of their names."""
    torch.manual_seed(4)
    part = PARTS.made(name)
    described = json.loads(json.dumps(describe(part), allow_nan=False))
    unknown = [what for what in find_unknown(described) if "test_protocols" not in what[1]]
    assert not unknown, (
        f"{name} cannot be saved: keep its arguments as attributes of their names, or derive it "
        "from audio_diffusion_pytorch.serialization.Recorded"
    )
    twin = rebuild(described, [PARTS.denoise])
    assert type(twin) is type(part) and describe(twin) == describe(part)
    one, other = (vars(value) for value in (part, twin))
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, bool | int | float | str | tuple):
            assert other[key] == value, f"{key} of {name} changes when it is saved and loaded"
        elif isinstance(value, torch.Tensor):
            assert torch.equal(other[key], value), f"{key} of {name} changes"
