"""DiffusionUpsampler: upstream's numbers, any length, and an ordinary model."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch import MDCT, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.diffusion import FlowDiffusion
from audio_diffusion_pytorch.models import DiffusionUpsampler
from audio_diffusion_pytorch.ops import downsample, upsample

GOLDEN = Path(__file__).parents[1] / "golden" / "upstream_upsampler.npz"
SMALL = {"channels": [8, 16], "factors": [2, 2], "items": [1, 1], "modulation_features": 16}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def raw(channels=2, factor=4, **changes):
    torch.manual_seed(0)
    return DiffusionUpsampler(
        net_t=UNetV0, in_channels=channels, upsample_factor=factor, **{**SMALL, **changes}
    )


def spectral(channels=2, factor=4, **changes):
    """One that works on 8 rows of spectrum for each channel, as a recipe's does."""
    width = 8 * channels
    normalizer = LatentNormalizer(width).fit([noise(2, width, 50)])
    space = {"autoencoder": MDCT(8, channels), "normalizer": normalizer}
    return raw(width, factor, **space, **changes)


@pytest.fixture
def upstream():
    """Upstream's arguments, its state dict with the network three times over, and its figures."""
    arrays = np.load(GOLDEN)
    weights = {k[7:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("weight/")}
    keys = json.loads(str(arrays["keys"]))
    state = {k: weights[k.removeprefix("diffusion.").removeprefix("sampler.")] for k in keys}
    names = [k for k in arrays.files if "/" not in k and k not in ("keys", "arguments")]
    figures = {k: torch.from_numpy(arrays[k]) for k in names}
    return json.loads(str(arrays["arguments"])), state, figures


def test_upstream_weights_load_and_give_upstreams_loss_and_sound(upstream):
    arguments, state, wanted = upstream
    assert sum(key.startswith("sampler.net.") for key in state) > 50  # it is the triple form
    model = DiffusionUpsampler(net_t=UNetV0, **arguments)
    model.load_state_dict(state)
    torch.testing.assert_close(
        model.reupsample(wanted["audio"]), wanted["reupsampled"], atol=1e-5, rtol=0
    )
    with torch.no_grad():
        loss = model(wanted["audio"], times=wanted["times"], noise=wanted["noise"])
        torch.manual_seed(11)  # upstream draws its times, then its noise
        drawn = model(wanted["audio"])
    torch.testing.assert_close(loss, wanted["loss"], atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn, wanted["loss"], atol=1e-5, rtol=0)
    generator = Generator().manual_seed(11)
    sound = model.sample(wanted["downsampled"], generator=generator, num_steps=3)
    torch.testing.assert_close(sound, wanted["sample"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [raw, spectral])
@pytest.mark.parametrize(("channels", "batch"), [(1, 3), (2, 1), (2, 3)])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 16, 31, 510, 1000])
def test_any_length_trains_and_comes_out_as_long(make, channels, batch, length):
    check_length(make(channels), channels, batch, length)


@pytest.mark.slow
@pytest.mark.parametrize("make", [raw, spectral])
def test_every_length_to_4096(make):
    models = {channels: make(channels) for channels in (1, 2)}
    for length in [*range(1, 300), *range(300, 4097, 61), 4095, 4096]:
        for channels, model in models.items():
            check_length(model, channels, 1 + 2 * (length % 2), length)


def check_length(model, channels, batch, length):
    x = noise(batch, channels, length)
    loss = model(x, generator=Generator().manual_seed(0), reduction="none")
    assert loss.shape == (batch,) and loss.isfinite().all()
    low = model.downsample(x)
    assert low.shape == (batch, channels, -(-length // 4))
    sound = model.sample(low, generator=Generator().manual_seed(0), length=length, num_steps=1)
    assert sound.shape == x.shape and sound.isfinite().all()
    assert model.sample(low, num_steps=1).shape == (batch, channels, 4 * low.shape[-1])


def test_what_stands_beside_the_signal_is_what_the_lower_rate_holds():
    x = noise(2, 2, 64)
    torch.testing.assert_close(raw().reupsample(x), upsample(downsample(x, 4), 4))
    model, seen = spectral(), []
    model.net.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["append_channels"]), with_kwargs=True
    )
    model(x)
    torch.testing.assert_close(seen[0], model.to_space(model.reupsample(x)))
    model.sample(model.downsample(x), num_steps=1)
    torch.testing.assert_close(seen[1], seen[0])


def test_generator_labels_guidance_and_mode():
    model = raw(1, num_classes=3, diffusion_t=FlowDiffusion).train()
    low, labels = noise(2, 1, 10), torch.tensor([[0], [2]])
    options = {"num_steps": 2, "labels": labels}
    sounds = [
        model.sample(low, Generator().manual_seed(1), guidance=scale, **options)
        for scale in (1.0, 1.0, 3.0)
    ]
    assert model.training
    assert torch.equal(sounds[0], sounds[1]) and not torch.equal(sounds[1], sounds[2])
    assert not torch.equal(sounds[0], model.sample(low, Generator().manual_seed(2), **options))
    model(noise(2, 1, 40), labels=labels, generator=Generator().manual_seed(0)).backward()


def test_keeping_the_low_rate_adds_only_what_is_above():
    model = raw(1)
    place = torch.arange(400)
    low = torch.sin(0.3 * place)[None, None]  # far below half the lower rate
    sounds = [
        model.sample(low, Generator().manual_seed(0), num_steps=2, keep_low=keep)
        for keep in (False, True)
    ]
    inner = slice(40, -40)
    errors = [(model.downsample(s) - low)[..., inner].square().mean() for s in sounds]
    assert errors[1] < 0.01 * errors[0]
    above = [s - model.reupsample(s) for s in sounds]
    change = (above[1] - above[0])[..., 160:-160].square().mean()
    assert change < 0.01 * above[0].square().mean()


def test_padding_that_is_masked_has_no_influence():
    model = raw(1)
    x, mask = noise(2, 1, 64), torch.ones(2, 1, 64, dtype=torch.bool)
    mask[..., 40:] = False
    fixed = {"times": torch.tensor([0.2, 0.7]), "noise": noise(2, 1, 64, seed=1), "mask": mask}
    other = torch.where(mask, x, 5.0)
    assert torch.equal(model(x, **fixed), model(other, **fixed))
    assert not torch.equal(model(x[..., :40]), model(x, **fixed))


def test_is_an_ordinary_module():
    model = raw()
    low = noise(1, 2, 9)
    before = model.sample(low, Generator().manual_seed(0), num_steps=1)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin.sample(low, Generator().manual_seed(0), num_steps=1), before)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
    assert torch.equal(model.sample(low, Generator().manual_seed(0), num_steps=1), before)
    assert all(key.startswith("net.net.") for key in model.state_dict())
    other = raw()
    other.load_state_dict(model.state_dict())


def test_learns_what_the_lower_rate_tells():
    """With the interpolated sound beside it, a net soon beats what it could say without."""
    model = raw(1, factor=2)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    phase, place = torch.rand(256, 1, 1, generator=Generator().manual_seed(0)), torch.arange(32)
    data = torch.sin(2 * torch.pi * (place / 8 + phase))  # far below the new Nyquist frequency
    generator = Generator().manual_seed(1)
    for step in range(200):
        loss = model(data[16 * (step % 16) :][:16], generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # At pure noise only the sound beside tells the phase: the loss would be 0.5 without it.
    told = {"times": torch.ones(64), "noise": noise(64, 1, 32, seed=2)}
    assert model(data[:64], **told) < 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raw(factor=0), "upsample_factor must be at least 1"),
        (lambda: raw(5, autoencoder=MDCT(8)), "the 8 channels"),
        (lambda: raw().sample(noise(2, 9), num_steps=1), r"must be \(b, c, t\)"),
        (lambda: raw().sample(noise(1, 2, 9), length=37, num_steps=1), r"1\.\.36"),
        (lambda: raw().sample(noise(1, 2, 9), length=0, num_steps=1), r"1\.\.36"),
        (lambda: raw().generate(1, 64, num_steps=2), r"call sample\(downsampled"),
    ],
)
def test_refuses_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
