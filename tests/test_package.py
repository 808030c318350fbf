"""What holds for the package as a whole: its version, its imports, its docstrings, its files."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import audio_diffusion_pytorch as adp

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "audio_diffusion_pytorch"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# What a user may lack, or what takes long to load: imported where it is used.
LAZY = (
    "a_unet",
    "audio_encoders_pytorch",
    "av",
    "matplotlib",
    "scipy",
    "soundfile",
    "soxr",
    "tensorboard",
    "torchaudio",
    "transformers",
    "yaml",
)

each_source = pytest.mark.parametrize(
    "source", SOURCES, ids=[path.relative_to(PACKAGE).as_posix() for path in SOURCES]
)


def module_names() -> list[str]:
    found = pkgutil.walk_packages([str(PACKAGE)], "audio_diffusion_pytorch.")
    return ["audio_diffusion_pytorch", *(info.name for info in found)]


def project_version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r'^version = "(.+)"$', text, flags=re.M)[1]


def tracked_files() -> list[Path]:
    """Return what git tracks, or nothing outside a repository (an unpacked source archive)."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_version_is_that_of_the_project_file():
    try:
        installed = version("audio-diffusion-pytorch")
    except PackageNotFoundError:
        pytest.skip("the package is not installed, only on the path")
    assert adp.__version__ == installed == project_version()


def test_citation_and_changelog_name_the_version():
    assert f"version: {project_version()}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project_version() in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_wheel_holds_the_typed_package_and_nothing_else(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel")
    path = next(wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert "audio_diffusion_pytorch/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        "audio_diffusion_pytorch",
        f"audio_diffusion_pytorch-{project_version()}.dist-info",
    }


def test_import_loads_nothing_optional():
    probe = (
        "import sys, audio_diffusion_pytorch; "
        f"print([name for name in {LAZY!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@each_source
def test_no_optional_import_at_module_level(source):
    tree = ast.parse(source.read_text(encoding="utf-8"))
    imported = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(node.module.split(".")[0])
    assert not imported & set(LAZY)


@each_source
def test_no_assert_and_no_star_import(source):
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        where = f"{source.name}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), f"{where} asserts: raise ValueError instead"
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), f"{where} imports *"


@pytest.mark.parametrize("name", module_names())
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public), f"{name}.__all__ names {public}, which is not there"
    for public, value in vars(module).items():
        if public.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
            assert own, f"{name}.{public} has no docstring"


@pytest.mark.parametrize(
    "name", [n for n in module_names() if (PACKAGE.parent / n.replace(".", "/")).is_dir()]
)
def test_packages_say_what_they_export(name):
    module = importlib.import_module(name)
    assert sorted(set(module.__all__)) == sorted(module.__all__), "a name stands twice"


def test_no_file_knows_the_machine_it_was_written_on():
    # Spelled in parts, so that this file passes its own test.
    forbidden = ["../" + "shared", "/" + "work/", "/" + "root/", "/" + "home/", "C:" + "\\Users"]
    found = []
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in forbidden if word in text]
    assert not found


def test_files_stay_within_the_size_a_reader_can_take():
    long = [path.name for path in SOURCES if path.read_text("utf-8").count("\n") > 500]
    assert not long, "about 100 lines, seldom past 300: split what has two ideas"


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for path in SOURCES}
    assert not [folder.name for folder in folders if not (folder / "__init__.py").exists()]
