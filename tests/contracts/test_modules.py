"""Every module of the package keeps the promises that users of `nn.Module` rely on.

The table `EXAMPLES` says how to build and call each public module class once, small. A class
without an entry fails `test_every_module_has_an_example`, whose message says how to add one.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_leaves

import audio_diffusion_pytorch as adp


class Example(NamedTuple):
    """How to build a module, and what to call it with."""

    make: Callable[[type], nn.Module]
    shape: tuple[int, ...]  # of the input, standard normal noise
    call: Callable[[nn.Module, Tensor], Any] = lambda module, x: module(x)
    on_meta: bool = True  # False: it reads values, which the meta device does not have


def unet(**kwargs: Any) -> nn.Module:
    """Return a U-Net of two levels that runs in a millisecond."""
    settings: dict[str, Any] = {
        "dim": 1,
        "in_channels": 2,
        "channels": [8, 16],
        "factors": [1, 2],
        "items": [1, 1],
        "modulation_features": 8,
        "resnet_groups": 4,
    }
    return adp.UNetV0(**{**settings, **kwargs})


def settings(**kwargs: Any) -> dict[str, Any]:
    """Return what two levels of a U-Net need besides, for models that say the rest themselves."""
    return {"factors": [1, 2], "items": [1, 1], "resnet_groups": 4, **kwargs}


def seeded(like: Tensor) -> Generator | None:
    """Return a fresh generator of fixed seed on the device of a tensor; none for meta tensors."""
    return None if like.is_meta else Generator(like.device).manual_seed(1)


def unit(x: Tensor, *shape: int) -> Tensor:
    """Return a tensor of ones of another shape, with the device and dtype of `x`."""
    return torch.ones(shape, dtype=x.dtype, device=x.device)


def integers(x: Tensor, *values: int) -> Tensor:
    """Return integer labels on the device of `x`."""
    return torch.tensor(values, device=x.device)


def fitted_normalizer(cls: type) -> nn.Module:
    return cls(3).fit([torch.randn(2, 3, 50, generator=Generator().manual_seed(2))])


def untimed_unet() -> nn.Module:
    """Return a U-Net that reads the level from its last channel."""
    return unet(in_channels=3, out_channels=2, use_time_conditioning=False, use_modulation=False)


def unet_item(cls: type) -> nn.Module:
    from audio_diffusion_pytorch.nets.unet_level import ItemShape, LevelShape

    return cls(LevelShape(8, 2, 1, 1, 0, 0), ItemShape(1, 4, 8, 4, 2, None))


def unet_level(cls: type) -> nn.Module:
    from audio_diffusion_pytorch.nets.unet_level import ItemShape, LevelShape

    return cls(2, 2, LevelShape(8, 2, 1, 0, 0, 0), ItemShape(1, 4, 8, 4, 2, None))


def call_unet_level(module: nn.Module, x: Tensor) -> Tensor:
    from audio_diffusion_pytorch.nets.unet_level import Conditions

    cond = Conditions(unit(x, len(x), 8), None, None, None)
    return module.ascend(module.descend(x, cond), x, cond)


def call_unet_item(module: nn.Module, x: Tensor) -> Tensor:
    from audio_diffusion_pytorch.nets.unet_level import Conditions

    return module(x, Conditions(unit(x, len(x), 8), None, None, None))


def block_encoder() -> nn.Module:
    """Return an encoder of 4 samples a latent."""
    encoder = nn.Conv1d(2, 3, 4, stride=4)
    encoder.downsample_factor = 4
    return encoder


def pretrained_text(cls: type) -> nn.Module:
    """Return a text encoder around a tiny random transformer and a tokenizer of bytes."""
    from transformers import ByT5Tokenizer, ClapTextConfig, ClapTextModel, T5Config, T5EncoderModel

    torch.manual_seed(0)  # pretrained: it is the same whatever the seed of the module
    if cls.__name__ == "ClapText":
        sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
        config = ClapTextConfig(vocab_size=384, num_hidden_layers=1, **sizes)
        transformer = ClapTextModel(config)
    else:
        sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
        transformer = T5EncoderModel(T5Config(vocab_size=384, **sizes))
    return cls((ByT5Tokenizer(), transformer))


def encode_texts(module: nn.Module, x: Tensor) -> Tensor:
    """Return the tokens of two texts, whatever the input."""
    del x
    return module(["a bell", "a low note"]).embedding


# Keyed by the dotted name below the package. `make` gets the class itself.
EXAMPLES: dict[str, Example] = {
    "autoencoders.latents.LatentNormalizer": Example(fitted_normalizer, (2, 3, 20), on_meta=False),
    "autoencoders.companding.Companded": Example(
        lambda cls: cls(adp.MDCT(8, channels=2)), (2, 2, 50), on_meta=False
    ),
    "autoencoders.stft.STFT": Example(lambda cls: cls(8, 4, channels=2), (2, 2, 50), on_meta=False),
    "autoencoders.transforms.MDCT": Example(
        lambda cls: cls(8, channels=2), (2, 2, 50), on_meta=False
    ),
    "conditioning.mel.MelSpectrogram": Example(
        lambda cls: cls(64, 16, 64, 8000, 12, normalize=True), (2, 2, 70), on_meta=False
    ),
    "conditioning.byte_text.ByteText": Example(
        lambda cls: cls(8, 16), (2,), encode_texts, on_meta=False
    ),
    **{
        f"conditioning.{name}": Example(pretrained_text, (2,), encode_texts, on_meta=False)
        for name in ("clap_text.ClapText", "t5_text.T5Text")
    },
    "diffusion.objectives.gaussian.GaussianDiffusion": Example(
        lambda cls: cls(unet(), adp.diffusion.HalfCircle(), adp.diffusion.VPrediction()),
        (3, 2, 16),
        lambda m, x: m(x, generator=seeded(x)),
    ),
    **{
        f"diffusion.objectives.{name}": Example(
            lambda cls: cls(unet()), (3, 2, 16), lambda m, x: m(x, generator=seeded(x))
        )
        for name in (
            "flow.FlowDiffusion",
            "sigma.KDiffusion",
            "sigma.VKDiffusion",
            "velocity.VDiffusion",
        )
    },
    **{
        f"diffusion.grids.{name}": Example(make, (5,), lambda m, x: m(len(x), x.device).to(x))
        for name, make in {
            "even_levels.EvenLevels": lambda cls: cls(adp.diffusion.HalfCircle()),
            "explicit.ListSchedule": lambda cls: cls([1.0, 0.5, 0.2, 0.1, 0.0]),
            "exponential.ExponentialSchedule": lambda cls: cls(adp.diffusion.HalfCircle()),
            "karras.KarrasSchedule": lambda cls: cls(0.002, 80.0),
            "linear.LinearSchedule": lambda cls: cls(),
            "shifted.ShiftedSchedule": lambda cls: cls(),
        }.items()
    },
    "diffusion.weights.LearnedUncertainty": Example(
        lambda cls: cls(4), (5,), lambda m, x: m(x.square(), x, x)
    ),
    "diffusion.autoregressive.ARVDiffusion": Example(
        lambda cls: cls(untimed_unet(), length=16, num_splits=4),
        (3, 2, 16),
        lambda m, x: m(x, generator=seeded(x)),
    ),
    "diffusion.autoregressive.ARVSampler": Example(
        lambda cls: cls(untimed_unet(), in_channels=2, length=16, num_splits=4),
        (2, 2, 16),
        lambda m, x: m(2, 5, 4, start=x, generator=seeded(x)),
        on_meta=False,
    ),
    "diffusion.inpainting.VInpainter": Example(
        lambda cls: cls(unet()),
        (2, 2, 16),
        lambda m, x: m(x, x > 0, 3, 2, x_noisy=x.flip(0)),
        on_meta=False,
    ),
    "diffusion.samplers.diffusion_sampler.DiffusionSampler": Example(
        lambda cls: cls(adp.diffusion.FlowDiffusion(unet())),
        (2, 2, 16),
        lambda m, x: m(x, num_steps=3),
        on_meta=False,
    ),
    **{
        f"diffusion.samplers.{name}": Example(
            lambda cls: cls(),
            (2, 2, 16),
            lambda m, x: m(
                x,
                lambda y, sigma: y / (1 + sigma**2),
                1 - torch.arange(4).to(x) / 3,
                3,
                step_noise=lambda *_: x,
            ),
            on_meta=False,
        )
        for name in ("ancestral.ADPM2Sampler", "ancestral.AEulerSampler", "karras.KarrasSampler")
    },
    "diffusion.samplers.v_sampler.VSampler": Example(
        lambda cls: cls(unet()), (2, 2, 16), lambda m, x: m(x, num_steps=3), on_meta=False
    ),
    "models.diffusion_ae.DiffusionAE": Example(
        lambda cls: cls(
            2, [8, 16], block_encoder(), 1, net_t=adp.UNetV0, **settings(factors=[2, 2])
        ),
        (3, 2, 18),
        lambda m, x: (
            m(x, generator=seeded(x)),
            m.decode(m.encode(x), num_steps=2, generator=seeded(x)),
        ),
        on_meta=False,
    ),
    "models.diffusion_ar.DiffusionAR": Example(
        lambda cls: cls(2, 16, 4, net_t=adp.UNetV0, **settings(channels=[8, 16])),
        (3, 2, 16),
        lambda m, x: (
            m(x, generator=seeded(x)),
            m.sample(3, 6, 4, x[..., :9], generator=seeded(x)),
        ),
        on_meta=False,
    ),
    "models.diffusion_model.DiffusionModel": Example(
        lambda cls: cls(
            unet,
            in_channels=16,
            autoencoder=adp.MDCT(8, channels=2),
            normalizer=adp.LatentNormalizer(16).fit([torch.randn(2, 16, 50)]),
        ),
        (3, 2, 50),
        lambda m, x: (m(x, generator=seeded(x)), m.generate(2, 30, 2, generator=seeded(x))),
        on_meta=False,
    ),
    "models.upsampler.DiffusionUpsampler": Example(
        lambda cls: cls(2, 3, unet),
        (3, 2, 50),
        lambda m, x: (
            m(x, generator=seeded(x)),
            m.sample(x, generator=seeded(x), num_steps=2, length=149),
        ),
        on_meta=False,
    ),
    "models.vocoder.DiffusionVocoder": Example(
        lambda cls: cls(unet, 8, 32, mel_sample_rate=8000),
        (3, 2, 50),
        lambda m, x: (
            m(x, generator=seeded(x)),
            m.sample(m.to_spectrogram(x), generator=seeded(x), num_steps=2, length=50),
        ),
        on_meta=False,
    ),
    "nets.plugins.append_channels.AppendChannels": Example(
        lambda cls: cls(unet, 3, in_channels=2),
        (2, 2, 17),
        lambda m, x: m(x, unit(x, 2) / 2, append_channels=unit(x, 2, 3, 17)),
    ),
    "nets.plugins.input_gain.InputGain": Example(
        lambda cls: cls(unet, in_channels=2), (2, 2, 17), lambda m, x: m(x, unit(x, 2) / 2)
    ),
    "nets.plugins.learned_transform.LearnedTransform": Example(
        lambda cls: cls(unet, 3, 8, 4, dim=1, in_channels=2),
        (2, 2, 17),
        lambda m, x: m(x, unit(x, 2) / 2),
    ),
    "nets.unet.UNetV0": Example(
        lambda _: unet(
            attentions=[0, 1],
            attention_heads=2,
            attention_features=4,
            num_classes=(3, 2),
            use_embedding_cfg=True,
            embedding_max_length=4,
            embedding_features=3,
            cross_attentions=[0, 1],
        ),
        (2, 2, 17),
        lambda m, x: m(
            x,
            unit(x, 2) / 2,
            labels=integers(x, 0, 1, -1, 0).view(2, 2),
            embedding=unit(x, 2, 4, 3),
            embedding_scale=2.0,
        ),
        on_meta=False,
    ),
    "nets.unet_level.UNetItem": Example(unet_item, (2, 8, 10), call_unet_item),
    "nets.unet_level.UNetLevel": Example(unet_level, (2, 2, 10), call_unet_level),
    "nn.attention.Attention": Example(
        lambda cls: cls(8, head_features=4, num_heads=2, context_features=3),
        (2, 8, 10),
        lambda m, x: m(x, unit(x, 2, 5, 3)),
    ),
    "nn.class_embedding.ClassEmbedding": Example(
        lambda cls: cls((3, 2), 8),
        (2, 8),
        lambda m, x: m(x, integers(x, 0, 1, -1, 0).view(2, 2), generator=seeded(x)),
        on_meta=False,
    ),
    "nn.conv.Conv1d": Example(lambda cls: cls(2, 3, 3, padding=1), (2, 2, 8)),
    "nn.conv.Downsample": Example(lambda cls: cls(1, 2, 3, 2), (2, 2, 8)),
    "nn.conv.Upsample": Example(lambda cls: cls(1, 2, 3, 2), (2, 2, 8)),
    "nn.embeddings.FixedEmbedding": Example(lambda cls: cls(6, 3), (2, 5, 3)),
    "nn.embeddings.NumberEmbedder": Example(lambda cls: cls(6, 8), (4,)),
    "nn.embeddings.TimeEmbedding": Example(lambda cls: cls(6), (4,)),
    "nn.energy_embedding.EnergyEmbedding": Example(lambda cls: cls(4, 8), (2, 4, 10)),
    "nn.modulation.InjectChannels": Example(
        lambda cls: cls(1, 4, 3), (2, 4, 10), lambda m, x: m(x, x[:, :3])
    ),
    "nn.modulation.MergeCat": Example(lambda cls: cls(1, 4), (2, 4, 10), lambda m, x: m(x, -x)),
    "nn.modulation.MergeGated": Example(
        lambda cls: cls(4, 3), (2, 4, 10), lambda m, x: m(x, -x, x[:, :3, 0])
    ),
    "nn.modulation.MergeModulate": Example(
        lambda cls: cls(4, 3), (2, 4, 10), lambda m, x: m(x, -x, x[:, :3, 0])
    ),
    "nn.modulation.Modulation": Example(
        lambda cls: cls(4, 3), (2, 4, 10), lambda m, x: m(x, x[:, :3, 0])
    ),
    "nn.resnet.ConvBlock": Example(lambda cls: cls(1, 4, 8, groups=2), (2, 4, 10)),
    "nn.resnet.ResnetBlock": Example(lambda cls: cls(1, 4, 8, groups=2), (2, 4, 10)),
    "training.ema.EMA": Example(lambda cls: cls(nn.Linear(3, 2)), (4, 3)),
    "training.post_hoc_ema.PostHocEMA": Example(
        lambda cls: cls(nn.Linear(3, 2)), (4, 3), lambda m, x: m.means[0](x)
    ),
}

# Bases that only users' subclasses complete: there is nothing to call.
BASES = {
    "conditioning.pretrained_text.PretrainedText",
    "diffusion.grids.base.Schedule",
    "diffusion.inpainting.Inpainter",
    "diffusion.objectives.gaussian.Diffusion",
    "diffusion.samplers.base.Sampler",
    "diffusion.samplers.sigma_sampler.SigmaSampler",
    "models.encoder_base.AdapterBase",
    "models.encoder_base.EncoderBase",
}


def package_modules() -> Iterator[Any]:
    """Yield every module of the package, imported."""
    for info in pkgutil.walk_packages(adp.__path__, "audio_diffusion_pytorch."):
        yield importlib.import_module(info.name)


def public_module_classes() -> dict[str, type]:
    """Return the `nn.Module` classes of the package by their dotted name below it."""
    return {
        f"{module.__name__}.{name}".removeprefix("audio_diffusion_pytorch."): cls
        for module in package_modules()
        for name, cls in vars(module).items()
        if inspect.isclass(cls)
        and issubclass(cls, nn.Module)
        and cls.__module__ == module.__name__
        and not name.startswith("_")
    }


CLASSES = public_module_classes()
each_module = pytest.mark.parametrize("name", sorted(set(EXAMPLES) & set(CLASSES)))


def build(name: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(seed)
    return EXAMPLES[name].make(CLASSES[name]).to(dtype)


def sound(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(EXAMPLES[name].shape, generator=Generator().manual_seed(0)).to(dtype)


def outputs(name: str, module: nn.Module, x: Tensor) -> list[Tensor]:
    """Return all tensors that one call gives, without gradients; global draws are seeded."""
    torch.manual_seed(3)
    result = EXAMPLES[name].call(module, x)
    return [leaf.detach() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


def assert_same(first: list[Tensor], second: list[Tensor]) -> None:
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


def test_every_module_has_an_example():
    missing = set(CLASSES) - set(EXAMPLES) - BASES
    assert not missing, (
        f"no example for {sorted(missing)}: add to EXAMPLES in tests/contracts/test_modules.py "
        'a line "dotted.name.Class": Example(lambda cls: cls(small, arguments), input_shape, '
        "lambda m, x: m(x))"
    )


def test_every_example_is_of_a_module():
    gone = (set(EXAMPLES) | BASES) - set(CLASSES)
    assert not gone, f"{sorted(gone)} are not in the package any more: remove their examples"


@each_module
def test_same_call_gives_same_result(name):
    module, x = build(name), sound(name)
    assert_same(outputs(name, module, x), outputs(name, module, x))


@each_module
def test_deep_copy_is_equal_and_independent(name):
    module, x = build(name), sound(name)
    before = outputs(name, module, x)
    twin = copy.deepcopy(module)
    assert_same(outputs(name, twin, x), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.fill_(0.25)
    assert_same(outputs(name, module, x), before)
    if any(True for _ in module.parameters()):
        changed = zip(outputs(name, twin, x), before, strict=True)
        assert any(not torch.equal(a, b) for a, b in changed)


@each_module
def test_pickle_round_trip(name):
    module, x = build(name), sound(name)
    twin = pickle.loads(pickle.dumps(module))
    assert_same(outputs(name, twin, x), outputs(name, module, x))


@each_module
def test_weights_travel_through_safetensors(name, tmp_path: Path):
    module, x = build(name), sound(name)
    state = module.state_dict()
    assert all(isinstance(value, Tensor) for value in state.values())
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "w.safetensors")
    other = build(name, seed=1)
    other.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert_same(outputs(name, other, x), outputs(name, module, x))


@each_module
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=["float64", "bfloat16"])
def test_dtype_is_kept(name, dtype):
    for output in outputs(name, build(name, dtype=dtype), sound(name, dtype)):
        assert output.dtype == dtype
        assert output.isfinite().all()


@each_module
@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_device_is_kept(name, device):
    if device == "meta" and not EXAMPLES[name].on_meta:
        pytest.skip("it reads values, which the meta device does not have")
    for output in outputs(name, build(name).to(device), sound(name).to(device)):
        assert output.device.type == device


@each_module
def test_gradients_reach_every_parameter(name):
    module, x = build(name), sound(name)
    torch.manual_seed(3)
    leaves = tree_leaves(EXAMPLES[name].call(module, x))
    total = sum(leaf.square().sum() for leaf in leaves if leaf.requires_grad)
    if not isinstance(total, Tensor):
        pytest.skip("it has no weights, or runs without gradients")
    total.backward()
    trained = [(key, p) for key, p in module.named_parameters() if p.requires_grad]
    assert trained
    assert not [key for key, parameter in trained if parameter.grad is None]
