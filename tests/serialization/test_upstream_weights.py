"""Weights of raw checkpoints are found wherever they are, and said where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.models import DiffusionAR, DiffusionUpsampler, DiffusionVocoder
from audio_diffusion_pytorch.serialization import load_upstream_weights, read_checkpoint

GOLDEN = Path(__file__).parents[1] / "golden" / "upstream_model.npz"


@pytest.fixture(scope="module")
def upstream():
    """Upstream's arguments and its state dict, with the network three times over, and figures."""
    arrays = np.load(GOLDEN)
    weights = {
        key.removeprefix("weight/net."): torch.from_numpy(arrays[key])
        for key in arrays.files
        if key.startswith("weight/")
    }
    state = {}
    for key in json.loads(str(arrays["keys"])):
        own = key.removeprefix("diffusion.").removeprefix("sampler.").removeprefix("net.")
        state[key] = weights[own]
    figures = {name: torch.from_numpy(arrays[name]) for name in ("noise", "sample")}
    return json.loads(str(arrays["arguments"])), state, figures


def lightning(state):
    """A checkpoint of upstream's trainer: raw and averaged weights, an optimizer, counters."""
    weights = {f"model.{key}": value + 1 for key, value in state.items()}
    weights |= {f"model_ema.online_model.{key}": value + 1 for key, value in state.items()}
    weights |= {f"model_ema.ema_model.{key}": value for key, value in state.items()}
    weights |= {"model_ema.step": torch.tensor(7), "model_ema.initted": torch.tensor(True)}
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}
    return {"epoch": 3, "global_step": 7, "state_dict": weights, "optimizer_states": [optimizer]}


LAYOUTS = {
    "raw": (lambda state: state, ""),
    "lightning, the averaged ones": (lightning, "state_dict.model_ema.ema_model."),
    "parallel": (lambda state: {f"module.{k}": v for k, v in state.items()}, "module."),
    "one copy": (lambda s: {k: v for k, v in s.items() if k.startswith("sampler.net.")}, ""),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_are_found(layout, upstream, tmp_path):
    arguments, state, figures = upstream
    wrap, prefix = LAYOUTS[layout]
    torch.save(wrap(state), tmp_path / "model.ckpt")
    model = DiffusionModel(UNetV0, **arguments)
    found = load_upstream_weights(model, tmp_path / "model.ckpt")
    assert found.prefix == prefix and found.misfits == 0
    made = model.sample(figures["noise"], num_steps=10)
    torch.testing.assert_close(made, figures["sample"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("other", ["semantic", "schema", "the.emanation", "mnemata"])
def test_averaged_weights_are_told_by_the_whole_word(other):
    model = nn.Linear(2, 2)
    raw, averaged = nn.Linear(2, 2).state_dict(), nn.Linear(2, 2).state_dict()
    both = {f"{other}.{key}": value + 1 for key, value in raw.items()}
    plain = {f"net.{key}": value for key, value in raw.items()}
    assert load_upstream_weights(model, both | plain).prefix == "net."
    for name in ("a_long_name.ema.", "model_ema."):
        found = {f"{name}{key}": value for key, value in averaged.items()}
        assert load_upstream_weights(model, both | plain | found).prefix == name
    assert torch.equal(model.weight, averaged["weight"])


def test_a_prefix_may_be_asked_for(upstream):
    arguments, state, _ = upstream
    model = DiffusionModel(UNetV0, **arguments)
    load_upstream_weights(model, lightning(state), prefix="state_dict.model.")
    averaged = DiffusionModel(UNetV0, **arguments)
    load_upstream_weights(averaged, state)
    pairs = zip(model.parameters(), averaged.parameters(), strict=True)
    assert all(torch.equal(one, other + 1) for one, other in pairs)


def test_a_network_takes_its_part_of_a_model(upstream):
    arguments, state, _ = upstream
    net = UNetV0(**{"dim": 1, **arguments})
    assert load_upstream_weights(net, state).prefix == "net."


def test_our_own_files_load_too(upstream, tmp_path):
    arguments, state, _ = upstream
    model, other = (DiffusionModel(UNetV0, **arguments) for _ in range(2))
    load_upstream_weights(model, state)
    save_file(model.state_dict(), tmp_path / "last.safetensors")
    assert load_upstream_weights(other, tmp_path / "last.safetensors").misfits == 0
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_what_does_not_fit_is_named_and_nothing_is_loaded(upstream):
    arguments, state, _ = upstream
    model = DiffusionModel(UNetV0, **{**arguments, "num_classes": 3})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    odd = "net.blocks.1.blocks.0.0.weight"
    bad = {k: v for k, v in state.items() if k.startswith("net.")}
    twin = odd.replace("blocks.0.0", "blocks.1.0")
    bad |= {odd: torch.zeros(2, 2), twin: torch.zeros(2, 2), "net.left": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"missing \(net.class_embedding") as caught:
        load_upstream_weights(model, bad)
    message = str(caught.value)
    assert "1 unknown (net.left)" in message
    assert "1 of another shape (net.time_embedding.layer.weight is [2, 2] there and" in message
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    found = load_upstream_weights(model, bad, strict=False)
    assert found.unknown == ["net.left"] and len(found.shapes) == 1
    after = model.state_dict()
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    assert len(changed) > 30 and "net.time_embedding.layer.weight" not in changed


def test_nothing_like_it(upstream, tmp_path):
    model = DiffusionModel(UNetV0, **upstream[0])
    with pytest.raises(ValueError, match="holds 1 tensors and none that could be those of the D"):
        load_upstream_weights(model, {"a": {"b": torch.ones(2)}})
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_upstream_weights(model, tmp_path / "none.pt")


def test_files_that_run_code_are_refused(tmp_path):
    torch.save({"state_dict": {}, "model": nn.Linear(2, 2)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds objects besides tensors, which are not loaded"):
        read_checkpoint(tmp_path / "model.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds a list"):
        read_checkpoint(tmp_path / "list.pt")


FACADES = {
    "upsampler": DiffusionUpsampler,
    "vocoder": DiffusionVocoder,
    "diffusion_ar": DiffusionAR,
}


@pytest.mark.parametrize("name", FACADES)
def test_every_model_takes_a_checkpoint_of_upstreams_trainer_and_is_saved(name, tmp_path):
    arrays = np.load(GOLDEN.with_name(f"upstream_{name}.npz"))
    state = {}
    for key in json.loads(str(arrays["keys"])):
        own = key.removeprefix("diffusion.").removeprefix("sampler.")
        state[key] = torch.from_numpy(arrays[f"weight/{own}"])
    model = FACADES[name](net_t=UNetV0, **json.loads(str(arrays["arguments"])))
    found = load_upstream_weights(model, lightning(state))
    assert found.prefix == "state_dict.model_ema.ema_model." and found.misfits == 0
    model.save_pretrained(tmp_path)
    loaded = FACADES[name].from_pretrained(tmp_path)
    audio, times, noise, loss = (
        torch.from_numpy(arrays[key]) for key in ("audio", "times", "noise", "loss")
    )
    for each in (model, loaded):
        found_loss = each(audio, times=times, noise=noise)
        torch.testing.assert_close(found_loss, loss, rtol=0, atol=1e-4)
