"""Set up and run everything of this project with nothing but a Python.

    python tools/dev.py demo     train on real piano notes, listen, and score what came out
    python tools/dev.py test     the whole default test suite (further arguments go to pytest)
    python tools/dev.py check    formatting, lint, types, import rules, doctests
    python tools/dev.py docs     the documentation, into docs/_build/html
    python tools/dev.py bench    every benchmark in benchmarks/
    python tools/dev.py setup    only make .venv with all development tools

The first call makes `.venv` beside pyproject.toml and installs what the task needs, at the
versions of constraints/cpu.txt; later calls start at once. pip's own settings are honoured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
CONSTRAINTS = ROOT / "constraints" / "cpu.txt"
STAMP = VENV / "dev-stamp.json"
FREE_BYTES_NEEDED = 2_500_000_000
UPSTREAM = "audio-diffusion-pytorch-0.1.3"  # whose README's code must run; see tests/upstream

# What `demo` runs, one Python command line after another; further arguments go to the first.
DEMO = [
    ["examples/train_class_conditional.py", "--experiment", "demo", "train.max_minutes=8"],
    ["examples/score_piano.py", "--run", "demo"],
]

# Benchmarks that `bench` runs on small networks: the full ones take many minutes and 16 GB.
SMALL = ("memory.py", "sampling_speed.py", "training_step.py")

# The dependency groups of pyproject.toml each task needs beside the package with [train].
GROUPS = {
    "demo": [],
    "test": ["test"],
    "check": ["test", "lint"],
    "docs": ["docs"],
    "bench": ["test"],
    "setup": ["dev", "docs", "lint", "test"],
}

# What pip's last lines mean, in plain words.
PIP_TROUBLE = [
    (
        ("No space left", "Errno 28", "not enough space"),
        "the disk is full: free about 2.5 GB for .venv and run this again",
    ),
    (
        ("NewConnectionError", "name resolution", "Network is unreachable", "ConnectTimeout",
         "Max retries exceeded", "ReadTimeout", "ProxyError", "getaddrinfo failed", "SSLError"),
        "no connection to the package index: connect to a network, or name a mirror or a folder "
        "of wheels in PIP_INDEX_URL or PIP_FIND_LINKS, and run this again",
    ),
    (
        ("No matching distribution found for torch",),
        "the index offers no torch of the tested version for this Python and system: "
        "use a 64-bit Python between 3.10 and 3.14",
    ),
]  # fmt: skip


class StepError(Exception):
    """A step went wrong; the text is the whole message for the user, a line for each cause."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(f"[dev] {text}", flush=True)


def shown(argv: list[str]) -> str:
    """Return a command as a user would type it in the project's folder."""
    return " ".join(a.replace(str(ROOT) + os.sep, "") if i == 0 else a for i, a in enumerate(argv))


def run(argv: list[str], threads: int | None = None) -> None:
    """Run a command in the project's folder; `threads` limits the CPU threads of each process.

    Raises StepError, naming the command, when it cannot be started or does not exit with 0.
    """
    environment = dict(os.environ, PYTHONUTF8="1")
    if threads is not None:
        environment.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    try:
        status = subprocess.run(argv, cwd=ROOT, env=environment, check=False).returncode
    except OSError as error:
        raise StepError(f"could not start: {shown(argv)} ({error})") from error
    if status != 0:
        raise StepError(f"failed (exit status {status}): {shown(argv)}", status)


def pip(*arguments: str) -> None:
    """Run the environment's pip; raise StepError with the reason in plain words when it fails."""
    argv = [str(PYTHON), "-m", "pip", *arguments, "--disable-pip-version-check"]
    if not sys.stdout.isatty():
        argv.append("--quiet")
    process = subprocess.Popen(
        argv, cwd=ROOT, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
    )
    complaints = []
    with process:
        for line in process.stderr or ():
            sys.stderr.write(line)
            complaints.append(line)
    if process.returncode != 0:
        text = "".join(complaints)
        for signs, reason in PIP_TROUBLE:
            if any(sign in text for sign in signs):
                raise StepError(reason)
        raise StepError(f"failed (exit status {process.returncode}): {shown(argv)}")


def pinned(name: str) -> str:
    """Return the tested version of a distribution, as written in constraints/cpu.txt."""
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        requirement = line.split(";")[0].strip()
        if requirement.startswith(f"{name}=="):
            return requirement[len(name) + 2 :]
    raise StepError(f"constraints/cpu.txt pins no {name}: add a line {name}==VERSION")


def environment_key() -> str:
    """Return a hash of all that the environment depends on; another hash means install again."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    requirements = project.partition("\n[tool.")[0]  # the settings of the linters install nothing
    digest = hashlib.sha256(f"{ROOT}\n{requirements}".encode())
    for path in (CONSTRAINTS, ROOT / "tools" / "torchaudio_cpu_wheel.py", VENV / "pyvenv.cfg"):
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def installed_groups() -> set[str] | None:
    """Return the groups the environment holds, or None where it must be made or renewed."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not PYTHON.exists() or stamp.get("key") != environment_key():
        return None
    return set(stamp["groups"])


def make_venv() -> None:
    """Make `.venv` where there is none that works; a broken one is made anew."""
    if PYTHON.exists() and (VENV / "pyvenv.cfg").exists():
        return
    free = shutil.disk_usage(ROOT).free
    if free < FREE_BYTES_NEEDED:
        raise StepError(
            f"{free / 1e9:.1f} GB are free on the disk of {ROOT}, "
            f"about {FREE_BYTES_NEEDED / 1e9:.1f} GB are needed: free some and run this again"
        )
    say(f"making .venv with Python {sys.version.split()[0]}")
    argv = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        lines = (made.stdout + made.stderr).strip().splitlines() or ["no reason given"]
        raise StepError(
            f"{sys.executable} could not make .venv ({lines[-1]}): "
            "on Debian and Ubuntu `apt install python3-venv` mends it"
        )


def install_torch() -> None:
    """Install torch at its pin, and a torchaudio that imports beside it."""
    version = pinned("torch")
    say(f"installing torch {version} (the largest part, some minutes on a slow connection)")
    # Alone and by exact version: a resolver free to choose could bring another build of torch.
    pip("install", f"torch=={version}")
    probe = "import sys, torch; sys.exit(torch.version.cuda is None and torch.version.hip is None)"
    probed = subprocess.run([str(PYTHON), "-W", "ignore", "-c", probe], check=False)
    version = pinned("torchaudio")
    if sys.platform == "linux" and probed.returncode == 1:
        say(f"installing torchaudio {version}, repacked for a torch without CUDA")
        wheels = VENV / "wheels"
        tool = ROOT / "tools" / "torchaudio_cpu_wheel.py"
        run([str(PYTHON), str(tool), str(wheels), "--version", version])
        pip("install", "--no-deps", str(next(wheels.glob("torchaudio-*.whl"))))
    else:
        say(f"installing torchaudio {version}")
        pip("install", f"torchaudio=={version}", f"torch=={pinned('torch')}")


def ensure_environment(task: str) -> None:
    """Make sure `.venv` holds what `task` needs; costs nothing where it does already."""
    groups = installed_groups()
    if groups is not None and groups.issuperset(GROUPS[task]):
        return
    make_venv()
    if groups is None:
        pip("install", "--upgrade", "pip>=25.1")  # the first pip that reads dependency groups
        install_torch()
    wanted = sorted((groups or set()) | set(GROUPS[task]))
    say("installing the package" + (f" and the tools for {', '.join(wanted)}" if wanted else ""))
    flags = [flag for group in wanted for flag in ("--group", group)]
    pip("install", "--constraint", str(CONSTRAINTS), "--editable", ".[train]", *flags)
    STAMP.write_text(json.dumps({"key": environment_key(), "groups": wanted}), encoding="utf-8")


def fetch_upstream_readme() -> None:
    """Bring the README of upstream's release to `.venv`, once; without a connection do without.

    Its blocks of code are run by `tests/upstream`, and it is not ours to keep a copy of.
    """
    folder = VENV / UPSTREAM
    if (folder / "README.md").exists():
        return
    say(f"fetching the README of {UPSTREAM}, whose code the tests run")
    name, _, version = UPSTREAM.rpartition("-")
    source = ["--no-deps", "--no-binary", name, "--dest", str(folder), f"{name}=={version}"]
    try:
        pip("download", *source)
    except StepError as failure:
        say(f"not fetched ({failure}): tests/upstream leaves it out")
        return
    with tarfile.open(folder / f"{UPSTREAM}.tar.gz") as archive:
        page = archive.extractfile(f"{UPSTREAM}/README.md")
        (folder / "README.md").write_bytes(page.read() if page else b"")


def demo(arguments: list[str]) -> None:
    """Train on the embedded piano notes and score the result."""
    for number, argv in enumerate(DEMO):
        run([str(PYTHON), *argv, *(arguments if number == 0 else [])])


def test(arguments: list[str]) -> None:
    """Run the test suite on two processes of one thread each."""
    fetch_upstream_readme()
    argv = [str(PYTHON), "-m", "pytest", "-n", "2", "--dist", "worksteal", *arguments]
    run(argv, threads=1)


def check(arguments: list[str]) -> None:
    """Run every static check and the doctests; go on after a failure and name all that failed."""
    if arguments:
        raise StepError(f"check takes no arguments, got {' '.join(arguments)}")
    python, failed = str(PYTHON), []
    for argv in (
        [python, "-m", "ruff", "format", "--check", "."],
        [python, "-m", "ruff", "check", "."],
        [python, "-m", "mypy"],
        [str(SCRIPTS / "lint-imports")],
        [python, "-m", "pytest", "-q", "tests/test_docs.py"],
    ):
        say(shown(argv))
        try:
            run(argv, threads=1)
        except StepError as failure:
            failed.append(str(failure))
    if failed:
        raise StepError("\n      ".join(failed))
    say("all checks passed")


def docs(arguments: list[str]) -> None:
    """Build the documentation; every warning is an error."""
    target = str(ROOT / "docs" / "_build" / "html")
    argv = [str(PYTHON), "-m", "sphinx", "-W", "--keep-going", "-b", "html", *arguments]
    run([*argv, "docs", target])
    say(f"open {Path(target) / 'index.html'}")


def bench(arguments: list[str]) -> None:
    """Run every benchmark script, one after another."""
    scripts = sorted((ROOT / "benchmarks").glob("[!_]*.py"))
    if not scripts:
        say("benchmarks/ holds no script yet")
    for script in scripts:
        say(f"benchmarks/{script.name}")
        size = ["--small"] if script.name in SMALL else []
        run([str(PYTHON), str(script), *size, *arguments])


def setup(arguments: list[str]) -> None:
    """Say where the environment is; making it was all there is to do."""
    if arguments:
        raise StepError(f"setup takes no arguments, got {' '.join(arguments)}")
    fetch_upstream_readme()
    say(f"ready: {PYTHON}")


TASKS = {task.__name__: task for task in (demo, test, check, docs, bench, setup)}


def main() -> int:
    """Run one task and return the exit status."""
    if sys.version_info < (3, 10):  # noqa: UP036 (an older Python is just whom this is for)
        version = ".".join(str(part) for part in sys.version_info[:3])
        print(
            f"this project needs Python 3.10 or newer, this is {version}: start it by a newer one"
        )
        return 1
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=sorted(TASKS))
    task, arguments = parser.parse_args(sys.argv[1:2]).task, sys.argv[2:]
    try:
        ensure_environment(task)
        TASKS[task](arguments)
    except StepError as failure:
        print(f"[dev] {failure}", file=sys.stderr, flush=True)
        return failure.status
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
