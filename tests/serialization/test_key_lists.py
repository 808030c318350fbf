"""Names and shapes of weights stay as they are: files that were saved must load."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def load_tool():
    spec = importlib.util.spec_from_file_location("lists", ROOT / "tools" / "make_key_lists.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()


@pytest.mark.parametrize("name", TOOL.MODELS)
def test_names_and_shapes_of_weights_stay(name):
    wanted = (TOOL.FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    found = TOOL.key_list(name).splitlines()
    gone, new = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    assert not gone and not new, (
        f"{len(gone)} weights of {name} are gone, such as {gone[:3]}, and {len(new)} are new, such "
        f"as {new[:3]}: models that were saved do not load any more. Give the old names a load "
        "pre-hook; where it is meant, run: python tools/make_key_lists.py"
    )


def test_every_list_is_of_a_model():
    lists = {path.stem for path in TOOL.FOLDER.glob("*.txt") if "upstream" not in path.stem}
    assert lists == set(TOOL.MODELS)


def test_the_readme_network_has_its_size():
    with torch.device("meta"):
        net = TOOL.MODELS["unet_v0"]()
    assert sum(weight.numel() for weight in net.parameters()) == 217_437_436
