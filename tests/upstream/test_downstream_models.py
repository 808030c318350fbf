"""Code written for release 0.1.3 runs here, part two: the models for a purpose, and the plugins."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch import (
    DiffusionAE,
    DiffusionAR,
    DiffusionModel,
    DiffusionUpsampler,
    DiffusionVocoder,
    EncoderBase,
    LTPlugin,
    Sampler,
    UNetV0,
    VDiffusion,
    VSampler,
)
from audio_diffusion_pytorch.components import AppendChannelsPlugin, MelSpectrogram
from audio_diffusion_pytorch.models import AdapterBase
from audio_diffusion_pytorch.utils import downsample, exists, upsample

NET: dict[str, Any] = {"channels": [4, 4], "factors": [1, 2], "items": [1, 1], "resnet_groups": 1}
NET |= {"net_t": UNetV0, "modulation_features": 8, "diffusion_t": VDiffusion, "sampler_t": VSampler}
MEL = {"mel_n_fft": 16, "mel_channels": 4, "mel_sample_rate": 16000}


def sound(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(shape, generator=Generator().manual_seed(seed))


class Halves(EncoderBase):
    """An encoder as upstream asks for it: the two attributes set behind `super().__init__()`."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 2
        self.downsample_factor = 2
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, with_info: bool = False) -> Any:
        latent = self.gain * torch.cat([x[..., ::2], x[..., 1::2]], dim=1)
        return (latent, {"shape": tuple(latent.shape)}) if with_info else latent


class Same(AdapterBase):
    """An adapter that changes nothing but counts, to see that it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def encode(self, x: Tensor) -> Tensor:
        self.calls.append("encode")
        return x

    def decode(self, x: Tensor) -> Tensor:
        self.calls.append("decode")
        return x


def autoencoder(**arguments: Any) -> DiffusionAE:
    torch.manual_seed(0)
    given = {"in_channels": 1, "encoder": Halves(), "inject_depth": 1, **NET, **arguments}
    return DiffusionAE(**given)


class TestAutoencoder:
    def test_an_encoder_and_an_adapter_of_its_own(self):
        """`EncoderBase` and `AdapterBase` subclassed, `with_info`, `latent_factor`, a generator."""
        adapter = Same()
        model = autoencoder(adapter=adapter, latent_factor=2).eval()
        loss, info = model(sound(1, 1, 16), with_info=True)
        assert loss.ndim == 0 and info == {"shape": (1, 2, 8)}
        latent = model.encode(sound(1, 1, 16))
        made = [
            model.decode(latent, generator=Generator().manual_seed(13), num_steps=2)
            for _ in range(2)
        ]
        assert made[0].shape == (1, 1, 16) and torch.equal(*made)
        assert set(adapter.calls) == {"encode", "decode"}
        assert not any(weight.requires_grad for weight in adapter.parameters())

    def test_the_forward_of_the_parent_with_latents_of_its_own(self):
        """Research encoders: `super(DiffusionAE, model).forward(audio, channels=...)`."""
        model, audio = autoencoder(), sound(2, 1, 16)
        latent, _ = model.encode(audio, with_info=True)
        channels = [None] * model.inject_depth + [latent]
        assert not exists(model.adapter)
        torch.manual_seed(3)
        by_hand = super(DiffusionAE, model).forward(audio, channels=channels)
        torch.manual_seed(3)
        torch.testing.assert_close(by_hand, model(audio))

    def test_latents_of_a_frozen_model_for_another(self):
        """Two stages: a frozen autoencoder makes what a second model learns, and decodes it."""
        first, audio = autoencoder().eval().requires_grad_(False), sound(2, 1, 32)
        second = DiffusionModel(in_channels=2, **NET)
        with torch.no_grad():
            latent = first.encode(audio)
        second(latent).backward()
        made = second.sample(torch.randn_like(latent), num_steps=2)
        assert first.decode(made, num_steps=2, show_progress=False).shape == audio.shape
        assert all(weight.grad is None for weight in first.parameters())


class TestUpsampler:
    def make(self, **arguments: Any) -> DiffusionUpsampler:
        torch.manual_seed(0)
        return DiffusionUpsampler(**{**NET, "in_channels": 1, "upsample_factor": 2, **arguments})

    def test_a_training_by_hand(self, tmp_path):
        """Train, validate, save, load into a new model, go up from a `downsample`d recording."""
        model, audio = self.make(), sound(2, 1, 64)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        model.train()
        loss = model(audio)
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            assert model(audio).isfinite()
        torch.save(model.state_dict(), tmp_path / "model_1.pt")
        other = self.make()
        other.load_state_dict(torch.load(tmp_path / "model_1.pt"))
        low = downsample(audio, factor=2)
        made = [
            part.sample(low, num_steps=3, generator=Generator().manual_seed(1))
            for part in (model, other)
        ]
        assert made[0].shape == audio.shape and torch.equal(*made)
        torch.testing.assert_close(model.reupsample(audio), upsample(low, factor=2))

    def test_a_sampler_that_knows_no_more_than_noise_and_steps(self):
        """An own sampler hands what else it gets to the network: nothing may come of itself."""

        class Bare(Sampler):
            def __init__(self, net: nn.Module) -> None:
                super().__init__()
                self.net = net

            @torch.no_grad()
            def forward(self, x_noisy: Tensor, num_steps: int, **kwargs: Any) -> Tensor:
                for step in range(num_steps, 0, -1):
                    time = torch.full((len(x_noisy),), step / num_steps)
                    x_noisy = x_noisy - self.net(x_noisy, time, **kwargs) / num_steps
                return x_noisy

        class Derived(VSampler):
            forward = Bare.forward

        for sampler_t in (Bare, Derived):
            model = self.make(sampler_t=sampler_t)
            made = model.sample(sound(1, 1, 8), num_steps=2, generator=Generator())
            assert made.shape == (1, 1, 16)
            vocoder = DiffusionVocoder(**{**NET, **MEL, "sampler_t": sampler_t})
            made = vocoder.sample(sound(1, 2, 4, 6), Generator(), num_steps=2)
            assert made.shape == (1, 2, 24)
            latent = autoencoder(sampler_t=sampler_t)
            assert latent.decode(sound(1, 2, 8), Generator(), num_steps=2).shape == (1, 1, 16)

    def test_a_subclass_with_names_that_the_release_left_free(self):
        """`generate` of its own, with arguments of its own, and `channels` for something else."""

        class Mine(DiffusionUpsampler):
            def __init__(self, **arguments: Any) -> None:
                super().__init__(**arguments)
                self.channels = 7

            def generate(self, folder: str) -> str:
                return folder

        torch.manual_seed(0)
        mine = Mine(**{**NET, "in_channels": 1, "upsample_factor": 2})
        made = mine.sample(sound(1, 1, 8), Generator().manual_seed(1), num_steps=2)
        wanted = self.make().sample(sound(1, 1, 8), Generator().manual_seed(1), num_steps=2)
        assert torch.equal(made, wanted) and mine.generate("out") == "out" and mine.channels == 7


class TestVocoder:
    def test_a_subclass_with_names_that_the_release_left_free(self):
        """As the upsampler's; here `channels` cannot even be set."""

        class Mine(DiffusionVocoder):
            @property
            def channels(self) -> list[str]:
                return ["left", "right"]

            def generate(self) -> str:
                return "a file"

        made = []
        for kind in (Mine, DiffusionVocoder):
            torch.manual_seed(0)
            model = kind(**NET, **MEL)
            code = model.to_spectrogram(sound(1, 2, 16))
            made.append(model.sample(code, Generator().manual_seed(1), num_steps=2))
        assert torch.equal(*made) and made[0].shape == (1, 2, 16)

    def test_the_spectrogram_as_a_code(self):
        """`vocoder.to_spectrogram(audio)` encodes, `vocoder.sample(code, num_steps=2)` decodes."""
        torch.manual_seed(0)
        model, audio = DiffusionVocoder(**NET, **MEL, mel_normalize_log=True), sound(2, 2, 64)
        model(audio).backward()
        code = model.to_spectrogram(audio)
        assert code.shape == (2, 2, 4, 16)
        made = model.sample(code, num_steps=2, generator=Generator().manual_seed(2))
        assert made.shape == audio.shape
        mono = model.sample(code[:, 0], num_steps=2)  # the axes before the bands are free
        assert mono.shape == (2, 64)

    def test_a_spectrogram_of_its_own_beside_a_model(self):
        """Mel conditioning by hand: `MelSpectrogram`, a transposed convolution, the plugin."""
        to_mel = MelSpectrogram(
            n_fft=16, hop_length=4, win_length=16, sample_rate=16000, n_mel_channels=4
        )
        to_flat = nn.ConvTranspose1d(4, 1, 16, stride=4, padding=6, bias=False)
        arguments = {**NET, "net_t": AppendChannelsPlugin(UNetV0, channels=1), "in_channels": 1}
        model, audio = DiffusionModel(**arguments), sound(2, 1, 32)
        flat = to_flat(to_mel(audio).squeeze(1))
        model(audio, append_channels=flat).backward()
        assert to_flat.weight.grad is not None
        made = model.sample(sound(2, 1, 32), num_steps=2, append_channels=flat.detach())
        assert made.shape == audio.shape


def test_an_autoregressive_model_counts_in_chunks():
    """`DiffusionAR(in_channels, length, num_splits, ...)`, then chunks from nothing."""
    torch.manual_seed(0)
    arguments = {key: NET[key] for key in ("net_t", "channels", "factors", "items")}
    model = DiffusionAR(in_channels=1, length=32, num_splits=4, resnet_groups=1, **arguments)
    model(sound(2, 1, 32)).backward()
    made = model.sample(num_items=2, num_chunks=6, num_steps=4)
    assert made.shape == (2, 1, 48)
    start = sound(2, 1, 32)
    more = model.sample(2, 6, 4, start=start)
    assert torch.equal(more[..., :32], start)


class TestNetworks:
    def test_a_learned_transform_behind_a_function(self):
        """Small trainers choose the network by `lambda: LTPlugin(UNetV0, ...)` in a config."""
        choose: Callable[[], Callable] = lambda: LTPlugin(  # noqa: E731  as it is written there
            UNetV0, num_filters=4, window_length=8, stride=4
        )
        torch.manual_seed(0)
        model = DiffusionModel(**{**NET, "net_t": choose(), "in_channels": 2})
        model(sound(2, 2, 32)).backward()
        noise = sound(2, 2, 32, seed=1)
        average = copy.deepcopy(model)
        with torch.no_grad():
            for weight in model.net.decode.parameters():
                weight.mul_(2)
        assert not torch.equal(model.sample(noise, num_steps=2), average.sample(noise, num_steps=2))

    def test_a_network_of_a_unet_blocks(self):
        """Own networks of upstream's blocks, imported from `components`, timed by its plugin."""
        pytest.importorskip("a_unet")
        from audio_diffusion_pytorch import components as c

        def net_t(dim: int, in_channels: int, **kwargs: Any) -> nn.Module:
            items = [c.ResnetItem, c.ModulationItem]
            return c.TimeConditioningPlugin(c.XUNet)(
                dim=dim,
                in_channels=in_channels,
                blocks=[c.XBlock(channels=4, factor=2, items=items)],
                skip_t=c.SkipModulate,
                modulation_features=8,
                resnet_groups=1,
            )

        torch.manual_seed(0)
        model = DiffusionModel(net_t=net_t, in_channels=1)
        model(sound(2, 1, 16)).backward()
        assert model.sample(sound(2, 1, 16), num_steps=2).shape == (2, 1, 16)

    def test_a_class_derived_from_xunet(self):
        """`class Own(XUNet)`: it is a-unet's class, so what it builds can be reached."""
        apex = pytest.importorskip("a_unet.apex")
        from audio_diffusion_pytorch import XUNet

        class Own(XUNet):
            def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
                return 2 * super().forward(x, **kwargs)

        assert issubclass(XUNet, apex.XUNet)
        block = apex.XBlock(channels=4, factor=2, items=[apex.ResnetItem])
        net = Own(1, [block], dim=1, skip_t=apex.SkipAdd, resnet_groups=1)
        assert net(sound(1, 1, 8)).shape == (1, 1, 8)
