"""Published diffusion autoencoders load from their downloaded folders."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch import LTPlugin, UNetV0
from audio_diffusion_pytorch.models import DiffusionAE
from audio_diffusion_pytorch.models.archisound import dmae1d_atc64_v2_arguments, load_archisound
from audio_diffusion_pytorch.serialization import load_upstream_weights

GOLDEN = Path(__file__).parents[1] / "golden"

pytest.importorskip("torchaudio", reason="the encoders need a torchaudio that fits this torch")


@pytest.fixture(scope="module")
def published():
    """A small model of upstream's classes in the published layout: arguments, keys, figures."""
    arrays = np.load(GOLDEN / "upstream_archisound.npz")
    weights = {
        key.removeprefix("weight/"): torch.from_numpy(arrays[key])
        for key in arrays.files
        if key.startswith("weight/")
    }
    state = {}
    for key in json.loads(str(arrays["keys"])):
        own = key.removeprefix("diffusion.").removeprefix("sampler.")
        state[f"model.{key}"] = weights[own]
    figures = {name: torch.from_numpy(arrays[name]) for name in ("audio", "latent", "sample")}
    return json.loads(str(arrays["arguments"])), state, figures


@pytest.fixture
def folder(published, tmp_path):
    """As the hub's folders are: a config without sizes, and the wrapper's state dict."""
    config = {"architectures": ["DMAE1d"], "model_type": "someone/small", "torch_dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(published[1], tmp_path / "pytorch_model.bin")
    return tmp_path


def parts(arguments):
    from audio_encoders_pytorch import ME1d, TanhBottleneck

    rest = {k: v for k, v in arguments.items() if k not in ("encoder", "transform")}
    encoder = ME1d(**arguments["encoder"], bottleneck=TanhBottleneck())
    return {**rest, "net_t": LTPlugin(UNetV0, **arguments["transform"]), "encoder": encoder}


def test_a_downloaded_folder_gives_upstreams_latents_and_sound(published, folder, tmp_path):
    arguments, _, figures = published
    model = load_archisound(folder, **parts(arguments))
    model.save_pretrained(tmp_path / "own")
    for loaded in (model, DiffusionAE.from_pretrained(tmp_path / "own")):
        latent = loaded.encode(figures["audio"])
        torch.testing.assert_close(latent, figures["latent"], rtol=0, atol=1e-5)
        made = loaded.decode(latent, generator=Generator().manual_seed(11), num_steps=3)
        torch.testing.assert_close(made, figures["sample"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("copy", ["", "diffusion.", "sampler."])
def test_any_of_the_three_copies_of_the_network_will_do(copy, published):
    """Converted files keep one of them."""
    arguments, state, figures = published
    one = {
        key: value
        for key, value in state.items()
        if key.startswith((f"model.{copy}net.", "model.encoder."))
    }
    model = DiffusionAE(**parts(arguments))
    assert load_upstream_weights(model, one).prefix == "model."
    latent = model.encode(figures["audio"])
    torch.testing.assert_close(latent, figures["latent"], rtol=0, atol=1e-5)


def test_every_weight_of_the_published_autoencoder_has_its_place():
    lines = (GOLDEN / "keys" / "upstream_dmae1d_atc64_v2.txt").read_text().splitlines()
    rows = [line.split(" ") for line in lines]
    with torch.device("meta"):
        model = DiffusionAE(**dmae1d_atc64_v2_arguments())
        state = {f"model.{key}": torch.empty(ast.literal_eval(shape)) for key, shape in rows}
    found = load_upstream_weights(model, state)
    assert found.misfits == 0 and found.prefix == "model."
    megabytes = sum(value.numel() for value in model.state_dict().values()) * 4 / 1e6
    assert 740 < megabytes < 741.5  # the published file has 741
    assert not dmae1d_atc64_v2_arguments({"encoder": None}).get("encoder")


def test_what_is_wrong_with_a_download_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_archisound(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds small, whose sizes are not known here"):
        load_archisound(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_archisound(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors or pytorch_model\.bin"):
        load_archisound(folder)
