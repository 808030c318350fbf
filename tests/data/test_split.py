from __future__ import annotations

import json
from pathlib import Path

import pytest

from audio_diffusion_pytorch.data import split_files

FILES = [f"album {a}/song{s}_part{p}.wav" for a in range(4) for s in range(5) for p in range(6)]
PIANO_VELOCITIES = ["pp", "mp", "mf", "ff"]


@pytest.mark.parametrize("group", [None, "folder", r"album \d/song\d"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_split_is_disjoint_complete_and_near_the_share(group: str | None, seed: int) -> None:
    train, validation = split_files(FILES, 0.25, seed, group)
    assert not set(train) & set(validation)
    assert sorted(train + validation) == sorted(FILES)
    assert len(validation) == 30
    assert split_files(list(reversed(FILES)), 0.25, seed, group) == (train, validation)


def test_no_song_stands_on_both_sides() -> None:
    pattern = r"(album \d/song\d)_part"
    train, validation = split_files(FILES, 0.1, group=pattern)
    songs = [{name.split("_part")[0] for name in side} for side in (train, validation)]
    assert not songs[0] & songs[1] and songs[1]
    by_file = split_files(FILES, 0.1)
    assert {n.split("_part")[0] for n in by_file.train} & {
        n.split("_part")[0] for n in by_file.validation
    }


def test_seed_changes_the_choice() -> None:
    assert split_files(FILES, 0.1, seed=0) != split_files(FILES, 0.1, seed=1)


def test_a_new_file_moves_few_others() -> None:
    before = set(split_files(FILES, 0.1).validation)
    after = set(split_files([*FILES, "new.wav"], 0.1).validation)
    assert len(before ^ after) <= 2


def test_tiny_sets() -> None:
    assert split_files(["a.wav"], 0.1) == (["a.wav"], [])
    assert len(split_files(["a.wav", "b.wav"], 0.1).validation) == 1
    assert len(split_files(["a.wav", "b.wav"], 0.9).train) == 1
    assert split_files(FILES, 0.0).validation == []


def test_explicit_lists(tmp_path: Path) -> None:
    held = FILES[3:5]
    (tmp_path / "bare.json").write_text(json.dumps(held))
    (tmp_path / "keyed.json").write_text(json.dumps({"held_back": held}))
    for validation in (held, tmp_path / "bare.json", str(tmp_path / "keyed.json")):
        assert split_files(FILES, validation).validation == sorted(held)
    with pytest.raises(ValueError, match=r"not among the 120 files, the first is zzz\.wav"):
        split_files(FILES, ["zzz.wav"])
    with pytest.raises(FileNotFoundError, match="no list of held-back"):
        split_files(FILES, "nothing.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 1.5}, "must be in 0..1"),
        ({"group": "("}, "no regular expression"),
        ({"group": "xyz"}, "does not match album 0/song0_part0.wav"),
    ],
)
def test_splits_that_cannot_work_are_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_files(FILES, **options)


def test_piano_split_follows_its_rule(piano_folder: Path) -> None:
    held = json.loads((piano_folder / "split.json").read_text())["held_back"]
    pitches: dict[str, dict[str, str]] = {}
    for path in sorted(piano_folder.glob("*.flac")):
        note, _, velocity = path.stem.split("_")
        pitches.setdefault(note, {})[velocity] = path.name
    assert len(pitches) == 62 and len(held) == 16
    expected = []
    for k, note in enumerate(sorted(pitches)[::4]):
        circle = PIANO_VELOCITIES[k % 4 :] + PIANO_VELOCITIES[: k % 4]
        expected.append(next(pitches[note][v] for v in circle if v in pitches[note]))
    assert held == expected
    assert all(set(row.values()) - set(held) for row in pitches.values())
