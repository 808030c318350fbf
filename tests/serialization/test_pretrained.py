"""A model that was saved is the same when it is loaded, or one sentence says why it cannot be."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from audio_diffusion_pytorch import DiffusionModel, UNetV0, UniformDistribution, VDiffusion
from audio_diffusion_pytorch.conditioning import T5Text
from audio_diffusion_pytorch.diffusion import (
    DPMpp2M,
    FlowDiffusion,
    KarrasSchedule,
    KDiffusion,
    LearnedUncertainty,
    LogNormalDistribution,
    MinSNR,
    OptimalTransport,
    Stratified,
)
from audio_diffusion_pytorch.serialization import (
    Pretrained,
    files,
    load_upstream_weights,
    read_checkpoint,
    recorded,
)


class OwnModel(DiffusionModel):
    """A user's model, of a module that no file may name."""

    def __init__(self, width: int, **kwargs):
        super().__init__(UNetV0, in_channels=1, channels=[width], factors=[2], items=[1], **kwargs)


class OwnPart:
    """A user's class that records nothing."""

    def __init__(self, low: float) -> None:
        self.high = low + 1


class OwnNet(nn.Module):
    """A user's network."""

    def __init__(self, dim: int, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, in_channels, 3, padding=1)

    def forward(self, x, time, **cond):
        return self.conv(x) * time[:, None, None]


def own_loss(prediction, target):
    return (prediction - target).abs().mean()


VARIANTS = {
    "plain": {},
    "flow with objects": {
        "diffusion_t": FlowDiffusion,
        "diffusion_times": UniformDistribution(0.1, 0.9),
        "diffusion_coupling": OptimalTransport(),
        "sampler_solver": DPMpp2M(),
    },
    "a partial, a learned weight, nested objects": {
        "diffusion_t": partial(KDiffusion, sigma_data=1.0, dynamic_threshold=None),
        "diffusion_weight": LearnedUncertainty(8),
        "diffusion_sigma_distribution": LogNormalDistribution(draws=Stratified()),
    },
    "a loss, a grid, tuples": {
        "loss_fn": nn.functional.l1_loss,
        "diffusion_t": VDiffusion,
        "diffusion_weight": MinSNR(3.0, soft=True),
        "num_classes": (3, 2),
        "gated_skip": True,
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_loaded_model_gives_the_same_loss_and_sound(name, fitted_model, same_answers, tmp_path):
    torch.manual_seed(1)
    model = fitted_model(**VARIANTS[name])
    assert model.save_pretrained(tmp_path / "m") == tmp_path / "m"
    assert {f.name for f in (tmp_path / "m").iterdir()} == {"config.json", "model.safetensors"}
    loaded = DiffusionModel.from_pretrained(tmp_path / "m")
    assert type(loaded) is DiffusionModel and loaded.training
    assert bool(loaded.normalizer.fitted)
    same_answers(model, loaded)


def test_a_network_alone(tmp_path):
    net = UNetV0(dim=2, in_channels=3, channels=(8,), factors=(2,), items=(1,))
    net.save_pretrained(tmp_path)
    loaded = UNetV0.from_pretrained(str(tmp_path))
    x, time = torch.randn(2, 3, 8, 6), torch.rand(2)
    assert torch.equal(loaded(x, time), net(x, time))


def test_the_config_can_be_read(fitted_model, tmp_path):
    fitted_model().save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    config = json.loads(text)
    assert config["format_version"] == 1 and config["package_version"]
    assert config["class"] == "audio_diffusion_pytorch:DiffusionModel"
    arguments = config["arguments"]
    assert arguments["net_t"] == {"$class": "audio_diffusion_pytorch:UNetV0"}
    assert arguments["autoencoder"]["arguments"]["exponent"] == 0.5
    assert '    "channels": [8, 16],\n' in text  # lists on one line
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata()["audio_diffusion_pytorch"] == config["package_version"]
        assert all(key.startswith(("net.", "normalizer.")) for key in file.keys())  # noqa: SIM118


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_dtypes_are_kept_or_asked_for(dtype, fitted_model, same_answers, tmp_path):
    model = fitted_model().to(dtype)
    model.save_pretrained(tmp_path)
    loaded = DiffusionModel.from_pretrained(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    same_answers(model, loaded)
    single = DiffusionModel.from_pretrained(tmp_path, dtype=torch.float32, device="cpu")
    assert {p.dtype for p in single.parameters()} == {torch.float32}
    meta = DiffusionModel.from_pretrained(tmp_path, device="meta")
    assert all(p.is_meta for p in meta.parameters())
    with pytest.raises(ValueError, match="meta device"):
        meta.save_pretrained(tmp_path / "other")


def test_the_global_random_state_is_left_alone(small_model, tmp_path):
    small_model().save_pretrained(tmp_path)
    before = torch.get_rng_state()
    DiffusionModel.from_pretrained(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_copies_and_pickles_can_be_saved(small_model, same_answers, tmp_path):
    model = small_model()
    copies = {"deepcopy": copy.deepcopy(model), "pickle": pickle.loads(pickle.dumps(model))}
    for name, twin in copies.items():
        twin.save_pretrained(tmp_path / name)
        same_answers(model, DiffusionModel.from_pretrained(tmp_path / name))


def test_a_model_of_lambdas_still_pickles(small_model):
    """What is recorded is plain data: what has no name does not make a model unpicklable."""
    model = small_model(lambda **kwargs: UNetV0(**kwargs))
    pickle.loads(pickle.dumps(model))


def test_replacements_win(small_model, tmp_path):
    small_model().save_pretrained(tmp_path)
    loaded = DiffusionModel.from_pretrained(
        tmp_path, gradient_checkpointing=True, diffusion_t=FlowDiffusion, loss_fn=own_loss
    )
    assert isinstance(loaded.diffusion, FlowDiffusion) and loaded.diffusion.loss_fn is own_loss
    assert all(level.gradient_checkpointing for level in loaded.net.levels)


def test_a_subclass_loads_through_its_base_where_it_may_be_named(small_model, tmp_path):
    small_model().save_pretrained(tmp_path)
    assert type(Pretrained.from_pretrained(tmp_path)) is DiffusionModel
    with pytest.raises(TypeError, match=r"holds a .*:DiffusionModel, not a UNetV0: call Diffusion"):
        UNetV0.from_pretrained(tmp_path)


def test_ones_own_model(same_answers, tmp_path):
    model = OwnModel(8, modulation_features=16)
    model.save_pretrained(tmp_path)
    same_answers(model, OwnModel.from_pretrained(tmp_path))
    same_answers(model, DiffusionModel.from_pretrained(tmp_path, trusted=[OwnModel]))
    with pytest.raises(ValueError, match=r"holds a .*:OwnModel.*pass trusted=\[OwnModel\]"):
        DiffusionModel.from_pretrained(tmp_path)


def test_ones_own_network_and_loss(same_answers, tmp_path):
    model = DiffusionModel(OwnNet, in_channels=1, loss_fn=own_loss)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"OwnNet for net_t.*pass net_t=\.\.\., or trusted=\[OwnN"):
        DiffusionModel.from_pretrained(tmp_path)
    for loaded in (
        DiffusionModel.from_pretrained(tmp_path, trusted=[OwnNet, own_loss]),
        DiffusionModel.from_pretrained(tmp_path, net_t=OwnNet, loss_fn=own_loss),
    ):
        same_answers(model, loaded)


def test_what_cannot_be_described_is_said_when_saved_and_when_loaded(
    small_model, same_answers, tmp_path
):
    def loss(prediction, target):
        return own_loss(prediction, target)

    model = small_model(loss_fn=loss)
    said = "config.json cannot hold loss_fn .*no name.*: pass loss_fn= to from_pretrained again"
    with pytest.warns(UserWarning, match=said):
        model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"what loss_fn was .*from_pretrained\(\.\.\., loss_fn="):
        DiffusionModel.from_pretrained(tmp_path)
    same_answers(model, DiffusionModel.from_pretrained(tmp_path, loss_fn=loss))


def test_a_part_of_another_package_is_recorded_by_asking(small_model, tmp_path):
    with pytest.warns(UserWarning, match=r"diffusion_weight .*recorded\(OwnPart\)"):
        small_model(diffusion_weight=OwnPart(1.0)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="recorded wants a class"):
        recorded(OwnPart(1.0))
    small_model(diffusion_weight=recorded(OwnPart)(low=4.0)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="trusted="):
        DiffusionModel.from_pretrained(tmp_path)
    for given in ({"trusted": [OwnPart]}, {"diffusion_weight": OwnPart}):
        assert DiffusionModel.from_pretrained(tmp_path, **given).diffusion.weight.high == 5.0
    other = DiffusionModel.from_pretrained(tmp_path, diffusion_weight=OwnPart(0.0))
    assert other.diffusion.weight.high == 1.0


def test_a_saved_model_is_replaced_whole_or_not_at_all(
    small_model, same_answers, tmp_path, monkeypatch
):
    """Killed at any of its steps, what is in the folder is the old model or the new one."""
    old, new = small_model(), small_model(channels=[16, 16])
    replace, fsync = files.os.replace, files.os.fsync

    class Killed(BaseException):
        pass

    for calls in range(5):
        old.save_pretrained(tmp_path)
        left = calls

        def dying(do):
            def call(*args):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return do(*args)

            return call

        monkeypatch.setattr(files.os, "replace", dying(replace))
        monkeypatch.setattr(files.os, "fsync", dying(fsync))
        with pytest.raises(Killed):
            new.save_pretrained(tmp_path)
        monkeypatch.setattr(files.os, "replace", replace)
        monkeypatch.setattr(files.os, "fsync", fsync)
        kept = new if calls >= 3 else old  # fsync, fsync, then the weights are renamed
        same_answers(kept, DiffusionModel.from_pretrained(tmp_path))
    new.save_pretrained(tmp_path)
    same_answers(new, DiffusionModel.from_pretrained(tmp_path))


def test_a_config_that_was_edited_is_followed(small_model, tmp_path):
    small_model().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    edited = path.read_text().replace(
        '"channels": [8, 16],', '"channels": [8, 16], "class_dropout": 0.3,'
    )
    path.write_text(edited.replace('"items"', '"num_classes": null, "items"'))
    DiffusionModel.from_pretrained(tmp_path)
    path.write_text(edited.replace("VDiffusion", "FlowDiffusion"))
    with pytest.raises(ValueError, match="no FlowDiffusion in audio_diffusion_pytorch"):
        DiffusionModel.from_pretrained(tmp_path)
    path.unlink()  # the weights hold a copy
    assert isinstance(DiffusionModel.from_pretrained(tmp_path).diffusion, VDiffusion)


def test_what_is_wrong_with_a_folder_is_said(small_model, tmp_path):
    model = small_model()
    with pytest.raises(FileNotFoundError, match=r"there is no folder \./nowhere"):
        DiffusionModel.from_pretrained("./nowhere")
    with pytest.raises(FileNotFoundError, match=r"no model.safetensors in"):
        DiffusionModel.from_pretrained(tmp_path)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no config.json in"):
        DiffusionModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(ValueError, match="not written by save_pretrained"):
        DiffusionModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": ')
    with pytest.raises(ValueError, match=r"config.json is damaged .*line 1"):
        DiffusionModel.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(
        text.replace('"format_version": 1', '"format_version": 9')
    )
    with pytest.raises(ValueError, match="format 9, this version reads 1"):
        DiffusionModel.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        DiffusionModel.from_pretrained(tmp_path)


def test_weights_that_do_not_fit_are_named(small_model, tmp_path):
    small_model().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"missing \(net\.levels.* of another shape \(net\.levels"):
        DiffusionModel.from_pretrained(tmp_path, channels=[8, 24], items=[1, 2])
    path = tmp_path / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    first = next(iter(state))
    state["net.extra"] = state.pop(first)
    save_file(state, path, metadata)
    with pytest.raises(ValueError, match=rf"1 missing \({first}\), 1 unknown \(net.extra\)"):
        DiffusionModel.from_pretrained(tmp_path)


def test_a_folder_that_cannot_be_written_is_said_in_one_line(small_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot save the model in .*unharmed") as caught:
        small_model().save_pretrained(tmp_path / "file" / "model")
    assert "\n" not in str(caught.value)


def test_layers_that_share_a_weight_are_saved_once(tmp_path):
    class Tied(Pretrained, nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.one = nn.Linear(size, size)
            self.other = nn.Linear(size, size)
            self.other.weight = self.one.weight
            self.register_buffer("part", self.one.bias.detach()[1:])  # the memory, but another

    model = Tied(3)
    model.save_pretrained(tmp_path)
    assert set(load_file(tmp_path / "model.safetensors")) == {
        "one.weight", "one.bias", "other.bias", "part",
    }  # fmt: skip
    loaded = Tied.from_pretrained(tmp_path, trusted=[Tied])
    assert loaded.other.weight is loaded.one.weight
    single = Tied.from_pretrained(tmp_path / "model.safetensors", trusted=[Tied])
    raw = Tied(3)
    assert load_upstream_weights(raw, tmp_path / "model.safetensors").misfits == 0
    for again in (loaded, single, raw):
        for key, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[key], value)

    tensors = load_file(tmp_path / "model.safetensors")
    for aliases in ('{"other.weight": "none"}', "{", "[1]"):
        words = {"audio_diffusion_pytorch": "1", "aliases": aliases}
        save_file(tensors, tmp_path / "odd.safetensors", words)
        with pytest.raises(ValueError, match=r"odd.safetensors is damaged"):
            read_checkpoint(tmp_path / "odd.safetensors")


def test_a_ready_made_text_encoder_is_passed_again(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    config = transformers.T5Config(vocab_size=384, **sizes)
    text = T5Text((transformers.ByT5Tokenizer(), transformers.T5EncoderModel(config)))
    arguments = {"channels": [8], "factors": [2], "items": [1], "cross_attentions": [1]}
    arguments |= {"attention_heads": 2, "attention_features": 4}
    net = UNetV0(dim=1, in_channels=1, text_encoder=text, use_text_conditioning=True, **arguments)
    with pytest.warns(UserWarning, match="pass text_encoder= to from_pretrained") as caught:
        net.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"from_pretrained\(\.\.\., text_encoder=") as refused:
        UNetV0.from_pretrained(tmp_path)
    assert "recorded(" not in f"{caught[0].message} {refused.value}"
    loaded = UNetV0.from_pretrained(tmp_path, text_encoder=text)
    x, time = torch.randn(1, 1, 8), torch.rand(1)
    assert torch.equal(loaded(x, time, text=["a"]), net(x, time, text=["a"]))


def test_what_is_no_tensor_is_refused(tmp_path):
    class Noted(Pretrained, nn.Module):
        def get_extra_state(self):
            return "a note"

    with pytest.raises(ValueError, match="_extra_state is a str: only tensors"):
        Noted().save_pretrained(tmp_path)


def test_help_shows_what_the_constructor_takes():
    wanted = list(inspect.signature(UNetV0.__init__).parameters)[1:]
    assert list(inspect.signature(UNetV0).parameters) == wanted
    assert list(inspect.signature(UniformDistribution).parameters) == ["vmin", "vmax"]
    called = list(inspect.signature(KarrasSchedule(0.1, 80.0)).parameters)
    assert called != list(inspect.signature(KarrasSchedule).parameters)
