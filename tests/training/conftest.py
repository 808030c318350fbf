"""Shared by the training tests: the small real training of `tone_training.py` and its sounds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).with_name("tone_training.py")


def _load() -> ModuleType:
    name = "tone_training"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPT)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def tone_training() -> ModuleType:
    """The helper module; its `__file__` runs as a script too."""
    return _load()


@pytest.fixture(scope="session")
def tones(tone_training: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve short tones."""
    return tone_training.make_tones(tmp_path_factory.mktemp("tones"))
