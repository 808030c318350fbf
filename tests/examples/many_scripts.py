"""Run scripts as `python SCRIPT ARGUMENTS` would, many of them after one import of torch.

`python many_scripts.py CASES.json` runs each case in a process of its own, forked from this one,
and writes its exit status and what it printed beside the list, as `CASES.out.json`.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import traceback
from pathlib import Path


def run(case: dict) -> dict:
    """Run one script in a fork; returns {"code", "out", "err"}."""
    folder = Path(case["cwd"])
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / ".out", folder / ".err"
    child = os.fork()
    if child == 0:
        os._exit(_run_here(case, out, err))
    _, status = os.waitpid(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": out.read_text(encoding="utf-8"),
        "err": err.read_text(encoding="utf-8"),
    }


def _run_here(case: dict, out: Path, err: Path) -> int:
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    script = Path(case["script"])
    sys.argv = [str(script), *case["arguments"]]
    sys.path[0] = str(script.parent)
    os.chdir(case["cwd"])
    for name in case.get("missing", ()):  # as if it were not installed
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[loaded]
        sys.modules[name] = None  # type: ignore[assignment]
    limit = case.get("largest_file")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = 0
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main(listing: Path) -> None:
    """Run every case of a JSON list, in order."""
    import matplotlib.pyplot  # noqa: F401  imported once for all
    import torch
    import torch.utils.tensorboard

    import audio_diffusion_pytorch.training  # noqa: F401

    torch.set_num_threads(1)
    cases = json.loads(listing.read_text(encoding="utf-8"))
    results = [run(case) for case in cases]
    listing.with_suffix(".out.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
