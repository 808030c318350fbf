"""The autoencoder: the old release's figures, encoders of every kind, any length."""

import copy
import inspect
import json
import math
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from audio_encoders_pytorch import (
    AutoEncoder1d,
    Encoder1d,
    ME1d,
    MelE1d,
    NoiserBottleneck,
    TanhBottleneck,
    VariationalBottleneck,
)
from torch import Generator, nn

from audio_diffusion_pytorch import MDCT, UNetV0
from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diffusion import ClassifierFreeGuidance, DPMppSDE
from audio_diffusion_pytorch.models.context_frames import input_stride, shortest_input
from audio_diffusion_pytorch.models.diffusion_ae import DiffusionAE
from audio_diffusion_pytorch.models.encoder_base import AdapterBase, EncoderBase
from audio_diffusion_pytorch.nets import AppendChannelsPlugin, LTPlugin
from audio_diffusion_pytorch.training.objective import diffusion_loss

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
NET = {"channels": [4, 8], "factors": [2, 4], "items": [1, 1]}
NET |= {"resnet_groups": 4, "modulation_features": 8}


def seeded(seed=0):
    return Generator().manual_seed(seed)


def sound(*shape, seed=0):
    return 0.5 * torch.randn(shape, generator=seeded(seed))


class Blocks(EncoderBase):
    """Means and first values of blocks, written as for the old release."""

    def __init__(self, factor=8, in_channels=1):
        super().__init__()
        self.out_channels = 2 * in_channels
        self.downsample_factor = factor
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x, with_info=False):
        blocks = x.unflatten(-1, (-1, self.downsample_factor))
        latent = self.gain * torch.cat([blocks.mean(-1), blocks[..., 0]], dim=1)
        return (latent, {"peak": x.abs().max()}) if with_info else latent


def small(encoder=None, in_channels=1, **kwargs):
    torch.manual_seed(0)
    encoder = Blocks(in_channels=in_channels) if encoder is None else encoder
    settings = {"net_t": UNetV0, "inject_depth": 1, **NET, **kwargs}
    return DiffusionAE(encoder=encoder, in_channels=in_channels, **settings)


# -- the old release ------------------------------------------------------------------------


def golden(name):
    with np.load(GOLDEN / f"upstream_{name}.npz") as file:
        arrays = {key: file[key] for key in file}
    arguments, keys = (json.loads(str(arrays.pop(key))) for key in ("arguments", "keys"))
    tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
    weights = {k.removeprefix("weight/"): v for k, v in tensors.items() if "/" in k}
    state = {}
    for key in keys:  # as a file of upstream's holds them, the network thrice
        stem = key.removeprefix("diffusion.").removeprefix("sampler.")
        state[key] = weights[stem]
    return arguments, state, tensors


@pytest.fixture(params=["diffusion_ae", "archisound"])
def upstream(request):
    """A mel encoder and a U-Net; a magnitude encoder and a U-Net behind a learned transform."""
    arguments, state, figures = golden(request.param)
    encoder_t = MelE1d if request.param == "diffusion_ae" else ME1d
    encoder = encoder_t(**arguments.pop("encoder"), bottleneck=TanhBottleneck())
    transform = arguments.pop("transform", None)
    net_t = LTPlugin(UNetV0, **transform) if transform else UNetV0
    model = DiffusionAE(net_t=net_t, encoder=encoder, **arguments)
    assert any(key.startswith("sampler.net.") for key in state)
    model.load_state_dict(state, strict=True)
    return model, figures


def test_latents_loss_and_sound_are_those_of_the_old_release(upstream):
    model, figures = upstream
    audio = figures["audio"]
    torch.testing.assert_close(model.encode(audio), figures["latent"], rtol=0, atol=1e-5)
    loss = model(audio, times=figures["times"], noise=figures["noise"])
    torch.testing.assert_close(loss, figures["loss"], rtol=0, atol=1e-5)
    torch.manual_seed(11)
    torch.testing.assert_close(model(audio), figures["loss"], rtol=0, atol=1e-5)
    made = model.decode(figures["latent"], generator=seeded(11), num_steps=3)
    torch.testing.assert_close(made, figures["sample"], rtol=0, atol=1e-4)


def test_signatures_are_upstreams():
    wanted = {
        DiffusionAE: ["in_channels", "channels", "encoder", "inject_depth", "latent_factor"],
        DiffusionAE.forward: ["self", "x", "with_info"],
        DiffusionAE.encode: ["self", "args", "kwargs"],
        DiffusionAE.decode: ["self", "latent", "generator"],
    }
    for function, names in wanted.items():
        assert list(inspect.signature(function).parameters)[: len(names)] == names
    model = small()
    assert (model.in_channels, model.inject_depth, model.latent_factor) == (1, 1, 8)
    assert model.adapter is None and model.encoder.out_channels == 2


# -- encoders -------------------------------------------------------------------------------

MEL = {"mel_channels": 6, "mel_sample_rate": 8000, "mel_n_fft": 32, "mel_hop_length": 4}
MEL |= {"mel_win_length": 32, "mel_normalize_log": True}
SIZES = {"channels": 16, "multipliers": [1, 1], "factors": [2], "num_blocks": [1]}
CONV = {**SIZES, "multipliers": [1, 1, 1], "factors": [2, 2], "num_blocks": [1, 1]}
CONV |= {"patch_size": 2}
BOTTLENECKS = {
    "none": lambda: [],
    "tanh": TanhBottleneck,
    "noiser": lambda: NoiserBottleneck(sigma=0.1),
    "variational": lambda: VariationalBottleneck(channels=3),
    "two": lambda: [TanhBottleneck(), NoiserBottleneck()],
}


def mel(c=1, **kwargs):
    return MelE1d(in_channels=c, out_channels=3, **{**SIZES, **MEL, **kwargs})


def magnitudes(c=1, **kwargs):
    stft = {"stft_num_fft": 31, "stft_hop_length": 4}
    return ME1d(in_channels=c, out_channels=3, **{**SIZES, **stft, **kwargs})


def conv(c=1, **kwargs):
    return Encoder1d(in_channels=c, out_channels=3, **{**CONV, **kwargs})


def autoencoders_own(c=1, **kwargs):
    return AutoEncoder1d(in_channels=c, bottleneck_channels=3, **{**CONV, **kwargs}).encoder


ENCODERS = {
    "mel": mel,
    "magnitudes": magnitudes,
    "even_stft": lambda c=1, **kwargs: magnitudes(c, stft_num_fft=32, **kwargs),
    "conv": conv,
    "autoencoder": autoencoders_own,
    "blocks": lambda c=1: Blocks(in_channels=c),
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("length", [1, 7, 64, 65, 200])
def test_every_encoder_at_any_length(name, length):
    for batch, channels in ((1, 1), (3, 2)):
        model = small(ENCODERS[name](channels), channels)
        audio = sound(batch, channels, length)
        loss, _ = model(audio, with_info=True, generator=seeded())
        assert loss.isfinite()
        loss.backward()
        assert all(w.grad.isfinite().all() for w in model.encoder.parameters())
        latent = model.encode(audio)
        assert latent.shape == (batch, model.encoder.out_channels, math.ceil(length / 8))
        made = model.decode(latent, generator=seeded(), num_steps=2, length=length)
        assert made.shape == audio.shape and bool(made.isfinite().all())
        assert model.decode(latent, num_steps=1).shape[-1] == 8 * latent.shape[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_all_lengths(name):
    """The whole range of lengths: every one to 64, the neighbours of each power of 2 to 4096."""
    powers = {2**n + more for n in range(6, 13) for more in (-1, 0, 1)} - {4097}
    for batch, channels in ((1, 1), (3, 2)):
        model = small(ENCODERS[name](channels), channels)
        for length in {*range(1, 65), *powers, 1000, 3000}:
            audio = sound(batch, channels, length)
            assert model(audio, generator=seeded()).isfinite()
            made = model.decode(model.encode(audio), num_steps=1, length=length)
            assert made.shape == audio.shape


@pytest.mark.parametrize("name", BOTTLENECKS)
@pytest.mark.parametrize("encoder", [mel, magnitudes, conv])
def test_bottlenecks_and_what_they_say(encoder, name):
    model = small(encoder(bottleneck=BOTTLENECKS[name]()))
    audio = sound(2, 1, 64)
    torch.manual_seed(0)
    loss, info = model(audio, with_info=True, generator=seeded(), reduction="none")
    assert loss.shape == (2,)
    loss.mean().backward()
    assert all(w.grad is not None for w in model.encoder.parameters())
    assert "xs" in info and ("bottleneck_variational_mean" in info) == (name == "variational")
    latent = model.eval().encode(audio)
    if name in ("tanh", "two"):
        assert latent.abs().max() <= 1
    assert torch.equal(latent, model.encode(audio)) == (name != "variational")
    assert model.decode(latent, num_steps=1).shape == audio.shape


def test_bitcodes_give_gradients_to_the_encoder():
    bitcodes = pytest.importorskip("bitcodes_pytorch")
    assert bitcodes
    from audio_encoders_pytorch import BitcodesBottleneck

    model = small(conv(bottleneck=BitcodesBottleneck(channels=3, num_bits=4)))
    loss, info = model(sound(2, 1, 64), with_info=True, generator=seeded())
    loss.backward()
    assert info["bottleneck_bits"].shape == (2, 8, 4)
    assert model.encoder.to_in.block.block1.project.weight.grad.abs().sum() > 0


def test_their_variational_loss_has_no_gradient_but_its_parts_do():
    """Version 0.0.22 gives the divergence as a plain number; from its parts it can be computed."""
    model = small(conv(bottleneck=VariationalBottleneck(channels=3)))
    _, info = model(sound(2, 1, 64), with_info=True, generator=seeded())
    assert isinstance(info["bottleneck_variational_kl_loss"], float)
    mean, log_variance = (info[f"bottleneck_variational_{name}"] for name in ("mean", "std"))
    divergence = (mean.square() + log_variance.exp() - log_variance - 1).mean()
    assert divergence.item() == pytest.approx(info["bottleneck_variational_kl_loss"], rel=1e-5)
    divergence.backward()
    assert model.encoder.to_in.block.block1.project.weight.grad.abs().sum() > 0


def test_an_encoder_as_the_old_release_wanted_it():
    """A subclass of the base, by attributes or by properties; it may say nothing but latents."""

    class WithProperties(EncoderBase):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 5, 8, stride=8)

        @property
        def out_channels(self):
            return 5

        @property
        def downsample_factor(self):
            return 8

        def forward(self, x):
            return self.conv(x)

    model = small(WithProperties())
    audio = sound(2, 1, 20)
    loss, info = model(audio, with_info=True, generator=seeded())
    assert info == {} and loss.isfinite()
    assert model.encode(audio).shape == (2, 5, 3)
    latent, info = model.encode(audio, with_info=True)
    assert info == {} and latent.shape == (2, 5, 3)
    with pytest.raises(TypeError, match="abstract"):
        EncoderBase()
    with pytest.raises(TypeError, match="abstract"):
        AdapterBase()


def test_what_the_encoder_says_is_handed_on():
    model = small()
    _, info = model(sound(2, 1, 64), with_info=True)
    assert info["peak"] == sound(2, 1, 64).abs().max()


def test_short_audio_is_padded_to_what_a_spectrogram_mirrors():
    assert shortest_input(mel()) == 15 and shortest_input(magnitudes()) == 16
    assert shortest_input(magnitudes(stft_num_fft=32)) == 17
    assert shortest_input(Blocks()) == 1
    encoder = Blocks()
    encoder.min_length = 20
    seen = []
    encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[-1]))
    assert small(encoder).encode(sound(1, 1, 3)).shape == (1, 2, 1)
    assert seen == [24]


# -- the latents lead the decoder ------------------------------------------------------------


class Told(nn.Module):
    """A net that answers the velocity that leads to its context, repeated to the samples."""

    def __init__(self, dim, in_channels, channels, factors, context_channels):
        super().__init__()
        self.factors, self.width = factors, context_channels[-1]
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen = []

    def forward(self, x, time, channels):
        self.seen.append(channels)
        clean = channels[-1][:, :1].repeat_interleave(math.prod(self.factors), -1)
        clean = clean[..., : x.shape[-1]] + self.weight
        alpha, sigma = (f(time * math.pi / 2)[:, None, None] for f in (torch.cos, torch.sin))
        return (alpha * x - clean) / sigma.clamp_min(1e-6)


@pytest.mark.parametrize(("factors", "depth"), [([8], 0), ([2, 4], 1), ([2, 2], 1), ([8, 4], 1)])
def test_latents_stand_where_their_audio_stands(factors, depth):
    """Equal rates, latents repeated, and latents folded: each frame gets what it stands for."""
    model = DiffusionAE(1, [4] * len(factors), Blocks(), depth, net_t=Told, factors=factors)
    audio = torch.arange(10.0).repeat_interleave(8)[None, None, :75]
    latent = model.encode(audio)
    torch.testing.assert_close(latent[0, 1], torch.arange(10.0))
    made = model.decode(latent, generator=seeded(), num_steps=4, length=75)
    context = model.net.seen[0][-1]
    level = math.prod(factors)
    assert context.shape == (1, 2 * max(1, level // 8), math.ceil(75 / level))
    assert model.net.width == context.shape[1] and model.net.seen[0][:-1] == [None] * depth
    if level <= 8:
        expected = latent[:, :1].repeat_interleave(8, -1)[..., :75]
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-4)
    else:  # the first of the means that were folded, channel by channel
        padded = nn.functional.pad(latent, (0, 2))
        assert torch.equal(context, padded.unflatten(-1, (-1, 4)).permute(0, 1, 3, 2).flatten(1, 2))


@pytest.mark.parametrize(("bins", "encoder_factor"), [(4, 8), (8, 8), (4, 32), (8, 4), (16, 4)])
@pytest.mark.parametrize("length", [1, 50, 128])
def test_behind_a_transform_the_encoder_hears_the_audio(bins, encoder_factor, length):
    space = MDCT(bins, channels=2)
    encoder = Blocks(encoder_factor, in_channels=2)
    heard = []
    encoder.register_forward_pre_hook(lambda module, args: heard.append(args[0]))
    net = {**NET, "factors": [1, 2]}
    torch.manual_seed(0)
    model = DiffusionAE(
        in_channels=2 * bins,
        encoder=encoder,
        inject_depth=0,
        net_t=UNetV0,
        autoencoder=space,
        **net,
    )
    model.fit_normalizer([sound(4, 2, 256)])
    audio = sound(3, 2, length)
    model(audio, generator=seeded()).backward()
    assert torch.equal(heard[0][..., :length], audio) and encoder.gain.grad is not None
    latent = model.encode(audio)
    made = model.decode(latent, generator=seeded(), num_steps=2, length=length)
    assert made.shape == audio.shape
    assert model.decode(latent, num_steps=1).shape[-1] == encoder_factor * latent.shape[-1]


def test_plugins_say_how_many_samples_a_frame_of_the_network_holds():
    assert input_stride(UNetV0) == 1
    assert input_stride(LTPlugin(UNetV0, 4, 16, 8)) == 8
    assert input_stride(AppendChannelsPlugin(LTPlugin(UNetV0, 4, 16, 8), 1)) == 8
    assert input_stride(LTPlugin(LTPlugin(UNetV0, 2, 4, 4), 4, 16, 8)) == 32
    assert input_stride(partial(UNetV0, num_classes=3)) == 1
    assert input_stride(lambda dim, **kwargs: UNetV0(dim, **kwargs)) == 1


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100, 300])
@pytest.mark.parametrize("encoder_factor", [8, 16, 32])
def test_behind_a_learned_transform_at_any_length(length, encoder_factor):
    net_t = LTPlugin(UNetV0, num_filters=2, window_length=8, stride=4)
    model = small(Blocks(encoder_factor, in_channels=2), 2, net_t=net_t, factors=[2, 2])
    audio = sound(3, 2, length)
    model(audio, generator=seeded()).backward()
    assert model.encoder.gain.grad is not None
    made = model.decode(model.encode(audio), num_steps=2, length=length)
    assert made.shape == audio.shape


def test_rates_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"lasts 12 samples.*lasts 8.*the levels last \[2, 8\]"):
        small(Blocks(12))
    with pytest.raises(ValueError, match=r"lasts 24 samples.*lasts 16.*\[16\]"):
        space = MDCT(8)
        DiffusionAE(8, [4], Blocks(24), 0, net_t=UNetV0, factors=[2], items=[1], autoencoder=space)


class Halves(AdapterBase):
    """Two samples become two channels."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def encode(self, x):
        return self.gain * x.unflatten(-1, (-1, 2)).transpose(2, 3).flatten(1, 2)

    def decode(self, x):
        return x.unflatten(1, (-1, 2)).transpose(2, 3).flatten(2) / self.gain


@pytest.mark.parametrize("length", [1, 30, 64])
def test_an_adapter_is_a_frozen_space(length):
    net = {**NET, "factors": [2, 2]}
    model = DiffusionAE(2, encoder=Blocks(), inject_depth=1, latent_factor=4, adapter=Halves(),
                        net_t=UNetV0, **net)  # fmt: skip
    audio = sound(2, 1, length)
    seen = []
    model.net.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    model(audio, generator=seeded()).backward()
    assert model.adapter.gain.grad is None and not model.adapter.gain.requires_grad
    latent = model.encode(audio)
    assert seen[0] == (2, 2, 4 * latent.shape[-1])
    assert model.decode(latent, num_steps=1).shape == (2, 1, 8 * latent.shape[-1])
    assert model.decode(latent, num_steps=1, length=length).shape == audio.shape


# -- as any other model ------------------------------------------------------------------------


def test_losses_are_those_of_a_diffusion_model():
    model = small()
    audio, noise = sound(3, 1, 50), sound(3, 1, 50, seed=1)
    times = torch.tensor([0.1, 0.5, 0.9])
    losses = model(audio, times=times, noise=noise, reduction="none")
    assert losses.shape == (3,)
    assert model(audio, times=times, noise=noise).item() == pytest.approx(losses.mean().item())
    singles = [
        model(audio[i : i + 1], times=times[i : i + 1], noise=noise[i : i + 1]) for i in range(3)
    ]
    torch.testing.assert_close(losses, torch.stack(singles))
    clips = Clip(audio, torch.zeros(3, 0, dtype=torch.long), ["a", "b", "c"])
    torch.testing.assert_close(
        diffusion_loss(model, clips, seeded()),
        model(audio, generator=seeded(), reduction="none"),
    )


def test_what_a_mask_leaves_out_is_not_heard():
    model = small()
    audio, mask = sound(2, 1, 50), torch.arange(50).expand(2, 1, 50) < 33
    other = torch.where(mask, audio, 9.0)
    first, second = (
        model(x, mask=mask, generator=seeded(), reduction="none") for x in (audio, other)
    )
    assert torch.equal(first, second)


def test_the_generator_decides_also_with_a_stochastic_solver():
    model = small(sampler_solver=DPMppSDE(2))
    latent = model.encode(sound(2, 1, 64))
    state = torch.get_rng_state()
    first, again = (model.decode(latent, generator=seeded(3), num_steps=3) for _ in range(2))
    assert torch.equal(first, again) and torch.equal(state, torch.get_rng_state())
    other = model.decode(latent, generator=seeded(4), num_steps=3)
    assert not torch.equal(first, other)
    assert not torch.equal(first, model.decode(-latent, generator=seeded(3), num_steps=3))


def test_guidance_strengthens_the_latents():
    model = small()
    latent = model.encode(sound(2, 1, 64))
    null = {"channels": [None, torch.zeros_like(latent)]}

    def made(scale):
        guidance = ClassifierFreeGuidance(scale)
        return model.decode(
            latent, generator=seeded(), num_steps=2, guidance=guidance, null_cond=null
        )

    plain = model.decode(latent, generator=seeded(), num_steps=2)
    torch.testing.assert_close(made(1.0), plain)
    assert not torch.allclose(made(3.0), plain)


def test_decoding_leaves_the_mode_and_keeps_no_gradients():
    model = small(mel(bottleneck=NoiserBottleneck())).train()
    latent = model.encode(sound(1, 1, 64))
    assert latent.requires_grad
    assert not model.decode(latent, num_steps=1).requires_grad and model.training


def test_copies_pickles_and_names_are_plain():
    model = small(mel(bottleneck=TanhBottleneck()))
    keys = set(model.state_dict())
    assert not any(key.startswith(("diffusion.", "sampler.")) for key in keys)
    audio = sound(1, 1, 64)
    loss = model(audio, generator=seeded())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert set(twin.state_dict()) == keys
        assert torch.equal(twin(audio, generator=seeded()), loss)


class TooFew(Blocks):
    def forward(self, x, with_info=False):
        latent, info = super().forward(x, True)
        return (latent[..., 1:], info) if with_info else latent[..., 1:]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small(inject_depth=2), r"one of the 2 levels, 0\.\.1, got 2"),
        (lambda: small(inject_depth=-1), "got -1"),
        (lambda: small(nn.Identity()), "say its out_channels as a number.*None from Identity"),
        (lambda: small(Blocks(0)), "say its downsample_factor"),
        (lambda: small(adapter=Halves(), autoencoder=MDCT(4)), "pass one"),
        (lambda: small().decode(torch.zeros(1, 2, 4), length=33), "stand for 1 to 32 samples"),
        (lambda: small().decode(torch.zeros(1, 2, 4), length=0), "got length=0"),
        (lambda: small().generate(1, 64, 2), r"call decode\(latent"),
        (lambda: small(TooFew())(sound(1, 1, 64)), "64 samples need 8 latents.* got 7"),
        (lambda: small()(sound(1, 2, 64)), r"shape \(b, 1|must have shape"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises((ValueError, RuntimeError), match=message) as error:
        call()
    assert isinstance(error.value, ValueError) or "latent" not in message
    assert "\n" not in str(error.value)


def test_training_teaches_encoder_and_network():
    """Noise of one level a clip: only latents can say which, so the loss falls below what it is
    without them."""
    torch.manual_seed(0)
    model = small(Blocks())
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    levels = torch.randn(64, 1, 1, generator=seeded())
    audio = levels.expand(-1, -1, 32).contiguous()
    for step in range(60):
        loss = model(audio, generator=seeded(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    told = model(audio, generator=seeded(99))
    model.encoder.gain.data.zero_()
    assert told < 0.6 * model(audio, generator=seeded(99))
