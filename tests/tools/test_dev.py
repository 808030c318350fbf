"""The development script: one plain line for each thing that can go wrong, exit codes kept."""

from __future__ import annotations

import importlib.util
import json
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """The script as a module, with an environment that is the running one, in a scratch folder."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "tools" / "dev.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "dev-stamp.json")
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    (tmp_path / ".venv").mkdir()
    return module


def write_stamp(dev, groups):
    text = json.dumps({"key": dev.environment_key(), "groups": groups})
    dev.STAMP.write_text(text, encoding="utf-8")


def test_a_ready_environment_costs_nothing(dev, monkeypatch):
    write_stamp(dev, ["test", "lint"])

    def refuse(*arguments):
        raise RuntimeError(f"pip was called: {arguments}")

    monkeypatch.setattr(dev, "pip", refuse)
    dev.ensure_environment("check")
    with pytest.raises(RuntimeError, match="--group docs"):
        monkeypatch.setattr(dev, "pip", lambda *a: refuse(" ".join(a)))
        dev.ensure_environment("docs")


def test_changed_requirements_are_installed_anew(dev, monkeypatch, tmp_path):
    write_stamp(dev, ["test"])
    assert dev.installed_groups() == {"test"}
    changed = tmp_path / "constraints.txt"
    changed.write_text("torch==2.13.0\n", encoding="utf-8")
    monkeypatch.setattr(dev, "CONSTRAINTS", changed)
    assert dev.installed_groups() is None


def test_a_failed_command_is_named_and_its_status_kept(dev):
    with pytest.raises(dev.StepError, match=r"failed \(exit status 7\): .*import sys") as caught:
        dev.run([sys.executable, "-c", "import sys; sys.exit(7)"])
    assert caught.value.status == 7
    with pytest.raises(dev.StepError, match="could not start: no-such-program"):
        dev.run(["no-such-program"])


@pytest.mark.parametrize(
    ("complaint", "message"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("NewConnectionError: Temporary failure in name resolution", "no connection"),
        ("ERROR: No matching distribution found for torch==2.13.0", "64-bit Python"),
        ("ERROR: something else", "failed (exit status 3)"),
    ],
)
def test_pip_trouble_in_plain_words(dev, monkeypatch, tmp_path, complaint, message):
    fake = tmp_path / "fake_python.py"
    fake.write_text(f"import sys\nsys.stderr.write({complaint!r})\nsys.exit(3)\n")
    real = dev.subprocess.Popen
    monkeypatch.setattr(
        dev.subprocess, "Popen", lambda _, **kw: real([sys.executable, str(fake)], **kw)
    )
    with pytest.raises(dev.StepError) as caught:
        dev.pip("install", "anything")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pins_are_read_from_the_constraints(dev):
    assert dev.pinned("torch") == "2.13.0"
    assert dev.pinned("numpy").count(".") == 2  # the marker behind it is cut off
    with pytest.raises(dev.StepError, match="pins no left-pad"):
        dev.pinned("left-pad")


def test_an_old_python_is_told_so(dev, monkeypatch, capsys):
    monkeypatch.setattr(dev.sys, "version_info", (3, 8, 2, "final", 0))
    assert dev.main() == 1
    assert "needs Python 3.10 or newer, this is 3.8.2" in capsys.readouterr().out


def test_a_full_disk_is_told_before_anything_is_made(dev, monkeypatch, tmp_path):
    monkeypatch.setattr(dev, "PYTHON", tmp_path / "missing")
    monkeypatch.setattr(dev, "FREE_BYTES_NEEDED", 10**18)
    with pytest.raises(dev.StepError, match="GB are free on the disk"):
        dev.make_venv()


def test_every_task_has_its_groups(dev):
    assert set(dev.TASKS) == set(dev.GROUPS)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for group in {group for groups in dev.GROUPS.values() for group in groups}:
        assert f"\n{group} = [" in project


def test_the_readme_of_upstream_is_fetched_once_and_its_absence_is_told(dev, monkeypatch, capsys):
    calls = []

    def download(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise dev.StepError("no connection to the package index")
        folder = Path(arguments[arguments.index("--dest") + 1])
        folder.mkdir(parents=True)
        page = folder / "page"
        page.write_text("# The old one", encoding="utf-8")
        with tarfile.open(folder / f"{dev.UPSTREAM}.tar.gz", "w:gz") as archive:
            archive.add(page, f"{dev.UPSTREAM}/README.md")

    monkeypatch.setattr(dev, "pip", download)
    dev.fetch_upstream_readme()
    assert "not fetched (no connection to the package index)" in capsys.readouterr().out
    for _ in range(2):
        dev.fetch_upstream_readme()
    assert len(calls) == 2
    assert calls[1][-1] == "audio-diffusion-pytorch==0.1.3"
    page = dev.VENV / "audio-diffusion-pytorch-0.1.3" / "README.md"
    assert page.read_text(encoding="utf-8") == "# The old one"


def test_ci_does_not_let_the_readme_of_upstream_be_left_out():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "UPSTREAM_README_REQUIRED=1 python3 tools/dev.py test" in script


def test_the_small_benchmarks_are_scripts_with_a_small_setting(dev, monkeypatch):
    commands = []
    monkeypatch.setattr(dev, "run", lambda argv: commands.append(argv[1:]))
    dev.bench([])
    names = {Path(argv[0]).name: argv[1:] for argv in commands}
    assert {name for name, arguments in names.items() if arguments} == set(dev.SMALL)
    for name in dev.SMALL:
        assert names[name] == ["--small"]
        assert "options.small" in (ROOT / "benchmarks" / name).read_text(encoding="utf-8")
