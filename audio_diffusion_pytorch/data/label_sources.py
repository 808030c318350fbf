"""Where a folder's labels come from: the file names, or a CSV or JSON list beside the sounds."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FileValues = dict[str, dict[str, object]]


def read_labels(
    labels: str | Path, root: Path, files: Sequence[str], columns: Sequence[str] | None = None
) -> tuple[list[str], FileValues]:
    """Column names and, for each file with labels, its value in each column.

    Args:
        labels: a `.csv` or `.json` manifest (as given, or inside `root` or the folder above), or
            a regular expression searched in each relative file name, one column per group.
        root: the folder that holds the sounds.
        files: their names relative to `root`.
        columns: which columns to take, in this order; None takes all.

    Raises:
        FileNotFoundError: no such manifest.
        ValueError: a manifest without `file` column, a bad expression, nothing that matches.
    """
    if str(labels).lower().endswith((".csv", ".json")):
        manifest = _find_manifest(Path(labels), root)
        names, values = _read_manifest(manifest, root, files)
        source = str(manifest)
    else:
        names, values = _read_names(str(labels), files)
        source = f"the pattern {labels}"
    if not values:
        raise ValueError(
            f"{source} gives no label to any of the {len(files)} sound files, for example not to "
            f"{files[0] if files else '(none)'}; correct data.labels"
        )
    if columns is None:
        return names, values
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(f"{source} has no label column {missing[0]!r}, only {', '.join(names)}")
    chosen = {file: {name: row.get(name) for name in columns} for file, row in values.items()}
    return list(columns), chosen


def _read_names(pattern: str, files: Sequence[str]) -> tuple[list[str], FileValues]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"data.labels {pattern} is no regular expression: {error}") from error
    if expression.groups == 0:
        raise ValueError(
            f"data.labels {pattern} needs a group for each label, as in (?P<note>\\d+)_.*"
        )
    named = {index: name for name, index in expression.groupindex.items()}
    names = [named.get(index, f"label{index}") for index in range(1, expression.groups + 1)]
    values: FileValues = {}
    for file in files:
        found = expression.search(file)
        if found:
            values[file] = dict(zip(names, found.groups(), strict=True))
    return names, values


def _find_manifest(path: Path, root: Path) -> Path:
    for candidate in (path, root / path, root.parent / path):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"there is no label file {path}, neither here nor in {root}")


def _read_manifest(
    manifest: Path, root: Path, files: Sequence[str]
) -> tuple[list[str], FileValues]:
    rows = _json_rows(manifest) if manifest.suffix.lower() == ".json" else _csv_rows(manifest)
    names = list(dict.fromkeys(name for row in rows for name in row if name != "file"))
    known = set(files)
    values: FileValues = {}
    for row in rows:
        for file in _candidates(str(row["file"]), manifest, root):
            if file in known:
                values[file] = {name: row.get(name) for name in names}
                break
    return names, values


def _candidates(file: str, manifest: Path, root: Path) -> Iterable[str]:
    """Names relative to `root` that a manifest's entry can mean."""
    file = file.replace("\\", "/")
    yield file
    for base in (manifest.parent, root.parent):
        path = (base / file).resolve()
        if path.is_relative_to(root.resolve()):
            yield path.relative_to(root.resolve()).as_posix()


def _csv_rows(manifest: Path) -> list[dict[str, Any]]:
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return _checked_rows(manifest, rows)


def _json_rows(manifest: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{manifest} is not valid JSON: {error}") from error
    if isinstance(content, Mapping):  # {"a.wav": {"note": 60}} beside [{"file": "a.wav", ...}]
        content = [{"file": file, **dict(row)} for file, row in content.items()]
    return _checked_rows(manifest, content)


def _checked_rows(manifest: Path, rows: Any) -> list[dict[str, Any]]:
    if not rows or not all(isinstance(row, dict) and row.get("file") for row in rows):
        raise ValueError(f"{manifest} needs a column file, with the name of a sound in every row")
    return list(rows)
