"""The autoregressive model: the old release's figures, a start that is really continued."""

import copy
import inspect
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, nn

from audio_diffusion_pytorch import MDCT, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.autoencoders import Companded
from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diffusion import ClassifierFreeGuidance, DPMpp2M, MinSNR
from audio_diffusion_pytorch.diffusion.autoregressive import ARVDiffusion, ARVSampler
from audio_diffusion_pytorch.models.diffusion_ar import DiffusionAR
from audio_diffusion_pytorch.training.objective import diffusion_loss

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "upstream_diffusion_ar.npz"
NET = {"channels": [4, 8], "factors": [1, 2], "items": [1, 1], "resnet_groups": 4}


def seeded(seed=0):
    return Generator().manual_seed(seed)


def sound(*shape, seed=0):
    return 0.5 * torch.randn(shape, generator=seeded(seed))


def small(length=16, num_splits=4, in_channels=2, **kwargs):
    torch.manual_seed(0)
    return DiffusionAR(in_channels, length, num_splits, net_t=UNetV0, **{**NET, **kwargs})


def behind_transform(length=64, num_splits=4, channels=2, bins=4):
    space = Companded(MDCT(bins, channels))
    normalizer = LatentNormalizer(space.latent_channels)
    model = small(
        length, num_splits, space.latent_channels, autoencoder=space, normalizer=normalizer
    )
    model.fit_normalizer([sound(4, channels, 256)])
    return model


@pytest.fixture(scope="module")
def upstream():
    with np.load(GOLDEN) as file:
        arrays = {key: file[key] for key in file}
    arguments, keys = (json.loads(str(arrays.pop(key))) for key in ("arguments", "keys"))
    figures = {key: torch.from_numpy(value) for key, value in arrays.items()}
    state = {  # as a file of upstream's holds them, the network thrice
        key: figures["weight/" + key.removeprefix("diffusion.").removeprefix("sampler.")]
        for key in keys
    }
    model = DiffusionAR(net_t=UNetV0, **arguments)
    model.load_state_dict(state, strict=True)
    return model, figures


def test_loss_is_that_of_the_old_release(upstream):
    model, figures = upstream
    loss = model(figures["audio"], times=figures["times"], noise=figures["noise"])
    torch.testing.assert_close(loss, figures["loss"], rtol=0, atol=1e-5)
    torch.manual_seed(11)
    torch.testing.assert_close(model(figures["audio"]), figures["loss"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "num_chunks"), [("sample", 4), ("longer", 7)])
def test_samples_are_those_of_the_old_release(upstream, name, num_chunks):
    """Where steps are whole for each part and there is no start, upstream is right."""
    model, figures = upstream
    torch.manual_seed(11)
    made = model.sample(num_items=2, num_chunks=num_chunks, num_steps=12)
    torch.testing.assert_close(made, figures[name], rtol=0, atol=1e-4)


def test_a_start_is_continued_where_the_old_release_dropped_it(upstream):
    """Upstream wrote over `start`; here it leads, and the same noise makes other sounds."""
    model, figures = upstream
    start = figures["audio"][..., :32]
    torch.manual_seed(11)
    made = model.sample(2, 7, 12, start)
    assert torch.equal(made[..., :32], start) and made.shape == (2, 2, 112)
    other = model.sample(2, 7, 12, start, generator=seeded())
    silent = model.sample(2, 7, 12, torch.zeros_like(start), generator=seeded())
    assert not torch.allclose(other[..., 32:], silent[..., 32:])


def test_signatures_are_upstreams():
    wanted = {
        DiffusionAR: ["in_channels", "length", "num_splits", "diffusion_t", "sampler_t"],
        DiffusionAR.sample: [
            "self", "num_items", "num_chunks", "num_steps", "start", "show_progress"
        ],
    }  # fmt: skip
    for function, names in wanted.items():
        assert list(inspect.signature(function).parameters)[: len(names)] == names
    model = small()
    assert isinstance(model.diffusion, ARVDiffusion) and isinstance(model.sampler, ARVSampler)
    assert model.net.in_channels == 3 and model.net.out_channels == 2


@pytest.mark.parametrize("num_splits", [1, 2, 3, 5])
@pytest.mark.parametrize("make", [small, behind_transform])
def test_any_number_of_parts(make, num_splits):
    model = make(length=8 * num_splits, num_splits=num_splits)
    model(sound(3, 2, 8 * num_splits), generator=seeded()).backward()
    for chunks in (1, 2, 7):
        made = model.sample(3, chunks, 2, generator=seeded())
        assert made.shape == (3, 2, 8 * chunks) and bool(made.isfinite().all())


@pytest.mark.parametrize("make", [small, behind_transform])
@pytest.mark.parametrize("given", [6, 8, 11, 16, 17, 31, 37, 64, 101])
def test_a_start_of_any_length_is_kept_bit_for_bit(make, given):
    model = make(length=32, num_splits=4)
    for items in (1, 3):
        start = sound(1, 2, given)
        made = model.sample(items, 15, 3, start, generator=seeded())
        assert made.shape == (items, 2, 120)
        assert torch.equal(made[..., :given], start.expand(items, -1, -1))
        again = model.sample(items, 15, 3, start, generator=seeded())
        assert torch.equal(made, again)
        other = model.sample(items, 15, 3, -start, generator=seeded())
        assert not torch.allclose(made[..., given:], other[..., given:])


class Smooth(nn.Module):
    """The velocity that leads to one frame of latents held for ever."""

    def __init__(self, dim, in_channels, out_channels, frame, **unused):
        super().__init__()
        self.register_buffer("frame", frame[None, :, None])
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        x, level = x[:, :-1], x[:, -1:] * torch.pi / 2
        clean = self.frame.expand_as(x)
        return torch.where(level > 1e-4, (level.cos() * x - clean) / level.sin().clamp_min(1e-6), 0)


def test_behind_a_transform_the_join_has_no_step():
    """A tone of as many periods a frame as to give equal frames is led on without a click."""
    space = MDCT(16)
    tone = torch.sin(torch.arange(512) * torch.pi * 2 / 16 * 3)[None, None]
    frame = space.encode(tone)[0, :, 8]
    torch.testing.assert_close(frame, space.encode(tone)[0, :, 9])  # equal but for rounding
    model = DiffusionAR(
        16, 128, 4, net_t=Smooth, autoencoder=space, frame=frame,
        normalizer=LatentNormalizer(16).fit([torch.randn(4, 16, 99, generator=seeded())]),
    )  # fmt: skip
    model.net.frame = model.normalizer.normalize(frame[None, :, None])
    for given in (24, 32, 64, 70, 100, 129):
        made = model.sample(1, 12, 8, tone[..., :given], generator=seeded())
        torch.testing.assert_close(made[..., :368], tone[..., :368], rtol=0, atol=1e-3)


def test_generate_counts_in_samples():
    for model in (small(), behind_transform(16)):
        for length in (1, 16, 50):
            made = model.generate(2, length, 3, generator=seeded())
            assert made.shape == (2, 2, length)
        start = sound(2, 2, 13)
        made = model.generate(2, 50, 3, start=start, generator=seeded())
        assert torch.equal(made[..., :13], start)


def test_losses_are_those_of_a_diffusion_model():
    model = small()
    audio, noise = sound(3, 2, 16), sound(3, 2, 16, seed=1)
    times = torch.tensor([0.1, 0.5, 0.9])
    losses = model(audio, times=times, noise=noise, reduction="none")
    assert losses.shape == (3,)
    assert model(audio, times=times, noise=noise).item() == pytest.approx(losses.mean().item())
    clips = Clip(audio, torch.zeros(3, 0, dtype=torch.long), ["a", "b", "c"])
    torch.testing.assert_close(
        diffusion_loss(model, clips, seeded()), model(audio, generator=seeded(), reduction="none")
    )
    mask = torch.arange(16).expand(3, 1, 16) < 10
    first = model(audio, mask=mask, generator=seeded())
    assert torch.equal(first, model(audio.masked_fill(~mask, 9.0), mask=mask, generator=seeded()))


def test_solver_guidance_and_conditions_reach_the_sampler():
    class Shifted(UNetV0):
        def forward(self, x, shift=0.0):
            return super().forward(x) + shift

    torch.manual_seed(0)
    model = DiffusionAR(2, 16, 4, net_t=Shifted, sampler_solver=DPMpp2M(), **NET)

    def made(**options):
        return model.sample(1, 6, 4, generator=seeded(), **options)

    guidance = ClassifierFreeGuidance(2.0)
    half, none = torch.full((1, 1, 1), 0.5), torch.zeros(1, 1, 1)
    guided = made(guidance=guidance, null_cond={"shift": none}, shift=half)
    torch.testing.assert_close(guided, made(shift=1.0))
    assert not torch.allclose(made(), made(shift=1.0))
    euler = DiffusionAR(2, 16, 4, net_t=Shifted, **NET)
    euler.load_state_dict(model.state_dict())
    assert not torch.allclose(euler.sample(1, 6, 4, generator=seeded()), made())


def test_sampling_leaves_the_mode_and_copies_are_equal():
    model = small().train()
    made = model.sample(1, 5, 2, generator=seeded())
    assert model.training and not made.requires_grad
    assert not any(key.startswith(("diffusion.", "sampler.")) for key in model.state_dict())
    for training in (True, False):  # a part may have another mode than the whole
        part = model.train(training).net.levels[0].train(not training)
        model.sample(1, 5, 2)
        assert model.training is model.net.training is training is not part.training
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin.sample(1, 5, 2, generator=seeded()), made)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small(length=10), "length must be a multiple of num_splits"),
        (lambda: behind_transform(length=40), "must be a multiple of 4, .* got 40 / 4"),
        (lambda: small()(sound(1, 2, 15)), r"trains on 16 samples, got 15.*multiple of.*=4"),
        (lambda: behind_transform()(sound(1, 2, 65)), "trains on 64 samples, got 65"),
        (lambda: small().sample(1, 4, 2, sound(1, 2, 0)), "1 samples at least.* got 0"),
        (lambda: small().sample(1, 4, 2, sound(1, 2, 16)), "fewer than the 16 of num_chunks=4"),
        (lambda: behind_transform().sample(1, 4, 2, sound(1, 2, 5)), "6 samples at least.* got 5"),
        (lambda: small().sample(2, 9, 2, sound(3, 2, 8)), "start must be"),
        (lambda: small().sample(0, 9, 2), "num_items=0"),
        (lambda: small().generate(1, 0), "at least 1 sample, got 1 of 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_another_loss_and_other_levels_as_upstream_lets_them():
    class Quarter(ARVDiffusion):
        def get_alpha_beta(self, sigmas):
            return super().get_alpha_beta(sigmas / 2)

    absolute = small(diffusion_loss_fn=nn.functional.l1_loss)
    audio = sound(2, 2, 16)
    assert absolute(audio, generator=seeded()) != small()(audio, generator=seeded())
    weaker = small(diffusion_t=Quarter)(audio, generator=seeded(), noise=torch.zeros_like(audio))
    assert weaker < small()(audio, generator=seeded(), noise=torch.zeros_like(audio))
    weighted = small(diffusion_weight=MinSNR())(audio, generator=seeded())
    assert weighted != small()(audio, generator=seeded())
