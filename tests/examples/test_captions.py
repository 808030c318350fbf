"""Captions made of labels, and the recipe that is told them, from training to sounds."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from audio_diffusion_pytorch.conditioning import ByteText, ClapText, T5Text
from audio_diffusion_pytorch.data import LabelTable, read_labels


@pytest.fixture(scope="module")
def captions(import_example):
    return import_example("captions")


@pytest.fixture(scope="module")
def asked(import_example):
    return import_example("asked")


def table(captions, *files):
    names, values = read_labels(captions.NOTE_AND_LOUDNESS, Path(), files)
    columns = {name: [row[name] for row in values.values()] for name in names}
    return LabelTable.from_values(columns), values


def test_file_names_become_words(captions):
    files = ["069_A4_ff.flac", "027_Ds1_pp.flac"]
    labels, values = table(captions, *files)
    rows = torch.stack([labels.encode(values[file]) for file in files])
    words = captions.Captions(labels)
    assert words(rows) == ["A4, very loud", "D sharp 1, very soft"]
    rows[0, 1] = -1
    rows[1] = -1
    assert words(rows) == ["A4", None]


def test_a_manifest_of_captions_is_taken_as_it_stands(captions):
    labels = LabelTable.from_values({"caption": ["A dog, far away", "69"], "take": ["1", "2"]})
    words = captions.Captions(labels)
    row = labels.encode({"caption": "A dog, far away", "take": "2"})
    assert words(row[None]) == ["A dog, far away"]
    assert words(labels.encode({"take": "2"})[None]) == [None]


def test_the_encoder_is_chosen_by_its_name(captions):
    made = {
        name: captions.choose_encoder(captions.TextConfig(name, max_length=20))
        for name in ("bytes", "t5-small", "laion/clap-htsat-fused")
    }
    assert [type(encoder) for encoder in made.values()] == [ByteText, T5Text, ClapText]
    assert all(encoder.max_length == 20 for encoder in made.values())
    assert made["t5-small"].embedding_features == 512  # known without a download


def test_what_is_asked_for_is_cycled(asked):
    labels = LabelTable.from_values({"note": ["60", "62"], "velocity": ["ff"]})
    options = Namespace(num=3, text=["low", "high"], label=[])
    assert asked.conditions_asked(labels, options) == {"text": ["low", "high", "low"]}
    options = Namespace(num=3, text=None, label=["62", ":ff"])
    rows = asked.conditions_asked(labels, options)["labels"]
    assert rows.tolist() == [[1, -1], [-1, 0], [1, -1]]
    options = Namespace(num=1, text=None, label=[])
    assert asked.conditions_asked(labels, options)["labels"].tolist() == [[0, 0]]
    assert options.label == ["60:ff"]
    assert asked.conditions_asked(LabelTable(), Namespace(num=1, text=None, label=[])) == {}


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [(["low"], ["60"], "got both"), (None, ["60"], "has no labels: leave --label out")],
)
def test_what_cannot_be_asked_for_is_refused(asked, text, label, message):
    with pytest.raises(ValueError, match=message):
        asked.conditions_asked(LabelTable(), Namespace(num=1, text=text, label=label))


@pytest.fixture(scope="module")
def told(run_many, tmp_path_factory):
    """A run of a few steps, and sounds it makes of texts."""
    folder = tmp_path_factory.mktemp("told")
    small = [
        "model.bins=64", "model.channels=16,16", "model.modulation_features=32",
        "data.length=2048", "sample.num=2", "sample.steps=2", "train.device=cpu",
        "text.features=16", "text.layers=1", "train.max_steps=4",
    ]  # fmt: skip
    texts = ["--text", "A4, very loud", "C8", "--guidance", "2", "--device", "cpu"]
    cases = {
        "train": ("train_text_conditional.py", small),
        "told": ("generate.py", ["--num", "3", "--out", "told", *texts]),
        "labelled": ("generate.py", ["--num", "1", "--out", "no", "--label", "60", *texts]),
    }
    done = run_many(
        [
            {"name": name, "script": script, "arguments": arguments, "cwd": str(folder)}
            for name, (script, arguments) in cases.items()
        ]
    )
    return folder, done


def test_the_recipe_scores_captions_against_other_captions(told):
    _, done = told
    assert done["train"]["code"] == 0, done["train"]["err"]
    out = done["train"]["out"]
    assert "captions, for example: B0, very loud C8, very soft" in out
    assert "Pitch mismatch over " in out and "another caption" in out


def test_a_run_makes_what_it_is_told(told):
    folder, done = told
    assert done["told"]["code"] == 0, done["told"]["err"]
    about = json.loads((folder / "told" / "samples.json").read_text("utf-8"))
    assert about["text"] == ["A4, very loud", "C8"]
    assert len(list((folder / "told").glob("*.wav"))) == 3
    assert done["labelled"]["code"] != 0 and "got both" in done["labelled"]["err"]
