"""Everything that release 0.1.3 offered is here: every name, every parameter, in its place."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import audio_diffusion_pytorch as adp

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = json.loads((ROOT / "tests" / "golden" / "upstream_names.json").read_text("utf-8"))

# A parameter that upstream has and we place or default otherwise, with the reason.
MOVED = {
    ("DiffusionModel.__init__", "dim"): "loss_fn, which came after the release, stands before it",
}
OTHER_DEFAULT = {
    ("VDiffusion.__init__", "sigma_distribution"): "made anew for each object, not shared by all",
    ("VSampler.__init__", "schedule"): "made anew for each object, not shared by all",
    ("VInpainter.__init__", "schedule"): "made anew for each object, not shared by all",
    ("UniformDistribution.__call__", "device"): "the CPU, by its name",
}
SPELLED_OUT = {"upsample", "downsample"}  # every name that their **kwargs could hold


def star_import(module: str) -> dict[str, Any]:
    """Return what `from module import *` gives."""
    names: dict[str, Any] = {}
    exec(f"from {module} import *", names)
    return names


def written(parameter: inspect.Parameter) -> str:
    """Return the default of a parameter as the record of upstream writes it."""
    value = parameter.default
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, type) or inspect.isroutine(value):
        return value.__name__
    return f"{type(value).__name__}()"


def promised(name: str, listed: list[str], function: Any) -> list[str]:
    """Return what a function of ours breaks of upstream's signature, one line for each.

    Ours may have more parameters after them, and defaults where upstream had none.
    """
    ours = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    named = {p.name: p for p in ours}
    place = {p.name: number for number, p in enumerate(ours)}
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in ours)
    broken, keyword_only = [], False
    for number, text in enumerate(listed):
        if text.startswith("**"):
            broken += [] if takes_any or name in SPELLED_OUT else [f"{name} takes no {text}"]
        elif text.startswith("*"):
            keyword_only = True
        else:
            wanted, _, default = text.partition("=")
            found = named.get(wanted)
            if found is None:
                broken.append(f"{name} has no {wanted}")
                continue
            if not keyword_only and place[wanted] != number and (name, wanted) not in MOVED:
                broken.append(f"{name} has {wanted} as number {place[wanted]}, not {number}")
            if default and (name, wanted) not in OTHER_DEFAULT and written(found) != default:
                broken.append(f"{name} has {wanted}={written(found)}, not {default}")
    return broken


@pytest.mark.parametrize("module", sorted(UPSTREAM))
def test_star_import_gives_every_name(module):
    missing = set(UPSTREAM[module]["names"]) - set(star_import(module))
    assert not missing, f"{module} lacks {sorted(missing)}"


@pytest.mark.parametrize("module", sorted(UPSTREAM))
def test_plain_import_gives_every_name(module):
    ours = importlib.import_module(module)
    for name in UPSTREAM[module]["names"]:
        assert getattr(ours, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(ours, "no_such_name")  # noqa: B009  as an import would ask


@pytest.mark.parametrize("module", [name for name in UPSTREAM if UPSTREAM[name]["signatures"]])
def test_signatures_are_kept(module):
    ours, broken = importlib.import_module(module), []
    for name, listed in UPSTREAM[module]["signatures"].items():
        thing = ours
        for part in name.split("."):
            thing = getattr(thing, part)
        broken += promised(name, listed, thing)
    assert not broken, "\n".join(broken)


def test_the_borrowed_names_are_what_they_say():
    names = star_import("audio_diffusion_pytorch.diffusion")
    assert names["Tensor"] is torch.Tensor
    assert names["F"] is nn.functional
    assert names["nn"] is nn and names["torch"] is torch
    assert names["VDiffusion"] is adp.VDiffusion
    assert names["tqdm"](range(3), disable=True) is not None
    assert names["repeat"](torch.arange(2), "i -> i b", b=3).shape == (2, 3)


def test_defaults_that_upstream_shared_are_fresh_objects_of_the_same_kind():
    net = nn.Identity()
    for make, attribute, kind in (
        (adp.VDiffusion, "sigma_distribution", adp.UniformDistribution),
        (adp.VSampler, "schedule", adp.LinearSchedule),
        (adp.VInpainter, "schedule", adp.LinearSchedule),
    ):
        first, second = getattr(make(net), attribute), getattr(make(net), attribute)
        assert type(first) is type(second) is kind
        assert first is not second


def test_a_dim_by_position_is_taken_where_the_release_had_it():
    """`loss_fn` stands there since: a number is no loss."""
    small = {"in_channels": 1, "channels": [8], "factors": [1], "items": [1]}
    assert adp.DiffusionModel(adp.UNetV0, adp.VDiffusion, adp.VSampler, 2, **small).net.dim == 2


def test_an_attribute_of_the_root_is_a_module_without_another_import():
    code = "import audio_diffusion_pytorch as a; print(a.utils.closest_power_2(1000))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "1024"
