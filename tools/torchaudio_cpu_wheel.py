"""Make a torchaudio wheel that imports on Linux beside a CPU-only torch.

The published Linux wheel links CUDA libraries: where they are missing, `import torchaudio`
raises. Everything this project uses of it is plain Python on torch operations, so this tool
downloads the wheel, leaves its native libraries out and writes a pure Python wheel with a local
version (`2.11.0+cpu.nonative`). The installation itself stays untouched by patches: `pip check`
is content, and uninstalling leaves nothing behind.

    python tools/torchaudio_cpu_wheel.py OUT_FOLDER [--version 2.11.0]

The last printed line is the path of the new wheel.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LOCAL_LABEL = "cpu.nonative"
NATIVE_SUFFIXES = (".so", ".dylib", ".pyd", ".dll")


def download_wheel(version: str, folder: Path) -> Path:
    """Return the published torchaudio wheel of `version`, fetched into `folder` by pip.

    Raises subprocess.CalledProcessError when pip cannot fetch it (pip has said why).
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary"]
    requirement = f"torchaudio=={version}" if version else "torchaudio"
    subprocess.run([*command, ":all:", "--dest", str(folder), requirement], check=True)
    return next(folder.glob("torchaudio-*.whl"))


def rewrite_metadata(name: str, data: bytes, version: str) -> bytes:
    """Return a member of the .dist-info folder with the new version and a pure Python tag."""
    if name.endswith("/METADATA"):
        line = b"Version: " + version.encode()  # the first one: the body may hold such a line too
        return re.sub(rb"^Version:[^\r\n]*", line, data, count=1, flags=re.M)
    if name.endswith("/WHEEL"):
        lines = [line for line in data.splitlines() if line and not line.startswith(b"Tag:")]
        lines = [re.sub(rb"^(Root-Is-Purelib:).*", rb"\1 true", line) for line in lines]
        return b"\n".join([*lines, b"Tag: py3-none-any", b""])
    return data


def record_line(name: str, data: bytes) -> str:
    """Return the RECORD line of one member: name, urlsafe sha256 without padding, size in bytes."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def repack(source: Path, folder: Path) -> Path:
    """Write `source` without native libraries into `folder` and return the new wheel's path.

    Raises ValueError when `source` is not named like a torchaudio wheel.
    """
    match = re.match(r"torchaudio-([0-9][0-9a-zA-Z.]*)(\+[^-]*)?-", source.name)
    if match is None:
        raise ValueError(f"wanted a torchaudio wheel, got {source.name}")
    version = f"{match[1]}+{LOCAL_LABEL}"
    info = f"torchaudio-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"torchaudio-{version}-py3-none-any.whl"
    record = []
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            if name.endswith((*NATIVE_SUFFIXES, "/", ".dist-info/RECORD")):
                continue
            data = rewrite_metadata(name, old.read(name), version)
            name_now = re.sub(r"^torchaudio-[^/]*\.dist-info", info, name)
            new.writestr(name_now, data)
            record.append(record_line(name_now, data))
        new.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
    return target


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Make a torchaudio wheel for CPU-only Linux.")
    parser.add_argument("folder", type=Path, help="where the new wheel goes")
    parser.add_argument("--version", default="", help="torchaudio version (default: the newest)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            source = download_wheel(arguments.version, Path(scratch))
        except subprocess.CalledProcessError as error:
            print(f"pip could not download torchaudio (exit status {error.returncode})")
            return 1
        print(repack(source, arguments.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
