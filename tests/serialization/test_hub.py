"""Names are folders first, then models on the hub; no test goes there."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.serialization.hub import find_folder


@pytest.fixture
def hub(monkeypatch):
    """A client that finds `someone/piano` in a folder of its own and logs what it is asked."""
    asked = []
    client = types.ModuleType("huggingface_hub")

    def snapshot_download(name, *, revision=None, allow_patterns=None):
        asked.append((name, revision, tuple(allow_patterns)))
        if name != "someone/piano":
            raise OSError("404 Client Error.\nRepository Not Found\nmore lines")
        return str(client.folder)

    client.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    client.asked = asked
    return client


def test_a_model_on_the_hub(hub, small_model, same_answers, tmp_path):
    model = small_model()
    hub.folder = model.save_pretrained(tmp_path / "cache")
    same_answers(model, DiffusionModel.from_pretrained("someone/piano", revision="v1"))
    [(name, revision, patterns)] = hub.asked
    assert (name, revision) == ("someone/piano", "v1")
    assert set(patterns) == {"config.json", "model.safetensors"}


def test_a_local_folder_comes_first(hub, small_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_model().save_pretrained("someone/piano")
    DiffusionModel.from_pretrained("someone/piano")
    assert not hub.asked


def test_neither_here_nor_there(hub):
    message = "no folder someone/else, and the hub does not give it either .404 Client Error"
    with pytest.raises(FileNotFoundError, match=message) as caught:
        DiffusionModel.from_pretrained("someone/else")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "/no/such/folder",
        "./model",
        "a/b/c",
        "~/nowhere_at_all",
        ".hidden",
        "piano",
        "someone/piano/",
        "someone/..",
        "söme/piano",
        Path("someone/piano"),
    ],
)
def test_what_can_only_be_a_folder_is_not_asked_for(name, hub):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*owner/name") as caught:
        find_folder(name)
    assert not hub.asked and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".ckpt", ".bin", ".pth", ".PT"])
def test_a_file_of_weights_is_not_asked_for(suffix, hub):
    with pytest.raises(FileNotFoundError, match="there is no file checkpoints/last"):
        DiffusionModel.from_pretrained(f"checkpoints/last{suffix}")
    assert not hub.asked


def test_without_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"no folder someone/piano, .*pip install .*\[text\]"):
        DiffusionModel.from_pretrained("someone/piano")
