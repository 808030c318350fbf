from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from audio_diffusion_pytorch.data import LabelTable, read_labels

PATTERN = r"(?P<note>\d{3})_.*_(?P<velocity>pp|mp|mf|ff)"
TABLE = LabelTable.from_values({"note": ["100", "069", 60, "60"], "velocity": ["pp", "ff", None]})


def test_numbers_sort_and_compare_as_numbers() -> None:
    assert TABLE.vocabularies == (("60", "69", "100"), ("ff", "pp"))
    assert TABLE.num_classes == (3, 2)
    for note in ("069", "69", 69, "69.0"):
        assert TABLE.encode({"note": note, "velocity": "ff"}).tolist() == [1, 0]


def test_absent_values_are_minus_one() -> None:
    assert TABLE.encode({}).tolist() == [-1, -1]
    assert TABLE.encode({"note": "", "velocity": None}).tolist() == [-1, -1]
    assert LabelTable().encode({}).shape == (0,)


def test_unknown_values_name_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"note '70' .* nearest are 60, 69, 100"):
        TABLE.encode({"note": 70})
    with pytest.raises(ValueError, match=r"velocity 'fff' .* nearest are ff"):
        TABLE.encode({"velocity": "fff"})
    with pytest.raises(ValueError, match="no label column 'pitch', only note, velocity"):
        TABLE.encode({"pitch": 3})


def test_parse_reads_what_the_command_line_gives() -> None:
    assert TABLE.parse("69:pp").tolist() == [1, 1]
    assert TABLE.parse("069").tolist() == [1, -1]
    assert TABLE.parse(":ff").tolist() == [-1, 0]
    with pytest.raises(ValueError, match="3 values"):
        TABLE.parse("69:pp:x")


def test_table_survives_json_and_pickle() -> None:
    assert LabelTable.from_dict(json.loads(json.dumps(TABLE.to_dict()))) == TABLE
    assert pickle.loads(pickle.dumps(TABLE)) == TABLE
    for text in ("60:ff", "100:pp"):
        assert TABLE.decode(TABLE.parse(text)) == dict(
            zip(("note", "velocity"), text.split(":"), strict=True)
        )
    assert TABLE.decode(TABLE.parse("60"))["velocity"] is None


def test_a_given_vocabulary_keeps_its_order() -> None:
    table = LabelTable.from_dict({"velocity": ["pp", "mp", "mf", "ff"]})
    assert table.encode({"velocity": "mf"}).tolist() == [2]


def test_labels_from_file_names(tmp_path: Path) -> None:
    files = ["x/069_A4_ff.flac", "x/noise.flac"]
    names, values = read_labels(PATTERN, tmp_path, files)
    assert names == ["note", "velocity"]
    assert values == {"x/069_A4_ff.flac": {"note": "069", "velocity": "ff"}}
    assert read_labels(r"_(pp|ff)\.", tmp_path, files)[0] == ["label1"]


@pytest.mark.parametrize("kind", ["csv", "json rows", "json map"])
def test_labels_from_manifests(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "audio"
    root.mkdir()
    manifest = tmp_path / f"labels.{kind[:4].strip()}"
    if kind == "csv":
        manifest.write_text("file,mood,note\naudio/ü b.wav,sad,069\nc.wav,,60\n", encoding="utf-8")
    else:
        rows = {"audio/ü b.wav": {"mood": "sad", "note": 69}, "c.wav": {"note": 60}}
        listed = [{"file": file, **row} for file, row in rows.items()]
        manifest.write_text(json.dumps(listed if kind == "json rows" else rows))
    names, values = read_labels(manifest.name, root, ["ü b.wav", "c.wav", "d.wav"])
    assert names == ["mood", "note"] and set(values) == {"ü b.wav", "c.wav"}
    table = LabelTable.from_values({n: [row[n] for row in values.values()] for n in names})
    assert table.to_dict() == {"mood": ["sad"], "note": ["60", "69"]}
    assert table.encode(values["c.wav"]).tolist() == [-1, 0]
    names, values = read_labels(manifest.name, root, ["c.wav"], columns=["note"])
    assert names == ["note"] and list(values["c.wav"]) == ["note"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("(", "no regular expression"),
        ("abc", "needs a group"),
        (r"(\d{9})", "no label to any of the 1 sound files, for example not to a.wav"),
        ("missing.csv", "no label file missing.csv"),
        ("odd.csv", "needs a column file"),
    ],
)
def test_labels_that_cannot_work_are_said(tmp_path: Path, labels: str, message: str) -> None:
    (tmp_path / "odd.csv").write_text("name,mood\na.wav,sad\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_labels(labels, tmp_path, ["a.wav"])
    with pytest.raises(ValueError, match="no label column 'mood', only note"):
        read_labels(r"(?P<note>a)", tmp_path, ["a.wav"], columns=["mood"])
