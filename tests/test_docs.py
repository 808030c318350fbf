"""Every code block that a reader may paste runs, and every docstring example is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shutil
import sys
import types
from pathlib import Path
from typing import NamedTuple

import pytest

import audio_diffusion_pytorch as adp

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts and page.exists()]
MODULES = ["audio_diffusion_pytorch"] + [
    info.name for info in pkgutil.walk_packages(adp.__path__, "audio_diffusion_pytorch.")
]


class Block(NamedTuple):
    """A fenced python block and the line it starts at."""

    line: int
    code: str


def python_blocks(page: Path) -> list[Block]:
    """Return the ```python blocks of a page; one marked `no-run` in its fence is left out."""
    text = page.read_text(encoding="utf-8")
    fences = re.finditer(r"^```python([^\n]*)\n(.*?)^```", text, flags=re.M | re.S)
    return [
        Block(text[: fence.start()].count("\n") + 2, fence[2])
        for fence in fences
        if "no-run" not in fence[1]
    ]


def bring_examples(folder: Path) -> None:
    """Put `examples` where a page's blocks run, so that what they write stays out of the tree."""
    try:
        (folder / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    except OSError:  # Windows allows links to few users
        shutil.copytree(ROOT / "examples", folder / "examples")


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_python_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    """Blocks of a page share their names, as if pasted one after another into one session."""
    monkeypatch.chdir(tmp_path)
    bring_examples(tmp_path)
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # where dataclasses look their names up
    names = vars(module)
    for block in python_blocks(page):
        if ">>>" in block.code:
            example = doctest.DocTestParser().get_doctest(
                block.code, names, page.name, str(page), block.line - 1
            )
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            assert runner.run(example, clear_globs=False).failed == 0
            names.update(example.globs)
        else:
            code = "\n" * (block.line - 1) + block.code  # so that a traceback names the right line
            exec(compile(code, str(page), "exec", dont_inherit=True), names)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
