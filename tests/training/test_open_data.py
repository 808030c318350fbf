"""Which list of held-back files decides, and what is said of it."""

from __future__ import annotations

import json
import shutil

import pytest

from audio_diffusion_pytorch.training import DataConfig, open_data
from audio_diffusion_pytorch.training.result_words import about_data
from audio_diffusion_pytorch.training.train_state import describe_recordings, resume_warnings


@pytest.fixture
def folder(tones, tmp_path):
    return shutil.copytree(tones, tmp_path / "tones")


def settings(folder, **values):
    return DataConfig(str(folder), sample_rate=8000, length=128, **values)


def test_the_list_in_the_folder_decides_and_is_told(folder):
    (folder / "split.json").write_text(json.dumps({"held_back": ["tone_03.wav"]}))
    config = settings(folder, validation=0.5)
    data, held_back = open_data(config)
    assert held_back.files == ["tone_03.wav"] and len(data.files) == 11
    told = "\n".join(about_data(data, held_back, config))
    assert f"only judging: 1 file (tone_03.wav), as {folder / 'split.json'} says" in told


@pytest.mark.parametrize(
    "content",
    ["no JSON {", '["tone_03.wav"]', '{"train": 3}', '{"held_back": ["other.wav"]}', "\\x80"],
)
def test_a_file_of_that_name_that_is_about_something_else_is_left_alone(folder, content):
    (folder / "split.json").write_text(content)
    config = settings(folder, validation=0.25)
    data, held_back = open_data(config)
    assert (len(data.files), len(held_back.files)) == (9, 3)
    told = "\n".join(about_data(data, held_back, config))
    assert "), by data.validation: split.json has no list held_back" in told


def test_a_list_that_names_missing_files_is_refused_with_its_key(folder):
    (folder / "split.json").write_text('{"held_back": ["tone_03.wav", "gone.wav"]}')
    with pytest.raises(ValueError, match=r"^data\.held_back=.*split\.json: .*gone\.wav; mend"):
        open_data(settings(folder))
    with pytest.raises(FileNotFoundError, match=r"^data\.held_back=none\.json: there is no list"):
        open_data(settings(folder, held_back="none.json"))


def test_recordings_that_changed_are_noticed(folder, tones):
    def described():
        return describe_recordings(open_data(settings(folder, validation=0.0))[0])

    first = described()
    assert first.startswith("72 clips (") and first == described()
    (folder / "tone_03.wav").rename(folder / "other.wav")
    renamed = described()
    assert renamed.startswith("72 clips (") and renamed != first
    (folder / "other.wav").unlink()
    assert described().startswith("66 clips (")
    (line,) = resume_warnings({"seed": 0, "recordings": first}, {"seed": 0, "recordings": renamed})
    assert line.startswith(f"note: the recordings changed since, {first} then, {renamed} now")
    assert resume_warnings({"recordings": first}, {"recordings": first, "seed": 0}) == []
