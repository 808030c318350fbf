"""What is seen of a network from outside is what the objective and the network really do."""

from __future__ import annotations

import pytest
import torch

from audio_diffusion_pytorch import DiffusionAR, DiffusionModel, DiffusionVocoder, UNetV0
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import observe
from audio_diffusion_pytorch.diagnostics.observation import permuted, time_at_decibels
from audio_diffusion_pytorch.diffusion import FlowDiffusion, KDiffusion, VDiffusion

NET = {"channels": [8, 16], "factors": [1, 2], "items": [1, 1], "resnet_groups": 4}


def tones(items: int, channels: int, length: int = 256) -> Clip:
    """Quiet tones of rising pitch, a little different in each channel."""
    place = torch.arange(length) / 40
    pitch = torch.arange(1, 1 + items * channels).view(items, channels, 1)
    audio = 0.3 * torch.sin(place * pitch)
    return Clip(audio, torch.empty(items, 0).long(), tuple(str(i) for i in range(items)))


@pytest.mark.parametrize("diffusion_t", [VDiffusion, FlowDiffusion, KDiffusion])
def test_the_parts_fit_together(diffusion_t):
    torch.manual_seed(3)
    options = {"diffusion_sigma_data": 0.3} if diffusion_t is KDiffusion else {}
    model = DiffusionModel(UNetV0, diffusion_t, in_channels=2, **NET, **options)
    clips = tones(4, 2)
    times = time_at_decibels(model.diffusion, torch.tensor([-10.0, 0.0, 5.0, 20.0]))
    seen = observe(model, clips, times, seed=1)
    assert torch.equal(seen.clean, clips.audio)
    rebuilt = seen.alpha * seen.clean + seen.sigma * seen.noise
    torch.testing.assert_close(rebuilt, seen.noisy, rtol=1e-4, atol=1e-5)
    assert seen.noise.std().item() == pytest.approx(1, abs=0.05)
    error = (seen.said - seen.wanted).square().flatten(1).mean(1)
    if diffusion_t is not KDiffusion:  # whose loss is weighted
        torch.testing.assert_close(error, seen.losses, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(seen.clean_error(seen.wanted), torch.zeros(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        seen.clean_error(), seen.c_out.flatten().square() * error, rtol=1e-3, atol=1e-6
    )
    assert torch.equal(seen.ask(), seen.said)


def test_nothing_is_left_behind():
    model = DiffusionModel(UNetV0, in_channels=1, **NET).train()
    model.net.eval()
    state = torch.random.get_rng_state()
    attributes = set(vars(model.diffusion))
    first = observe(model, tones(2, 1), torch.full((2,), 0.5))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert set(vars(model.diffusion)) == attributes
    assert model.training and not model.net.training
    assert not model.diffusion._forward_pre_hooks
    again = observe(model, tones(2, 1), torch.full((2,), 0.9))
    torch.testing.assert_close(first.noise, again.noise, rtol=0, atol=1e-4)  # of the same seed


def test_a_level_for_each_part_is_one_level_here():
    model = DiffusionAR(1, 256, 4, net_t=UNetV0, **NET)
    seen = observe(model, tones(3, 1), torch.tensor([0.2, 0.5, 0.8]))
    assert seen.said.shape == seen.clean.shape == (3, 1, 256)


def test_channels_that_are_items_have_the_level_of_their_sound():
    model = DiffusionVocoder(
        UNetV0, mel_n_fft=64, mel_channels=8, mel_sample_rate=8000, in_channels=2, **NET
    )
    times = torch.tensor([0.2, 0.5, 0.8])
    seen = observe(model, tones(3, 2), times)
    assert torch.equal(seen.time, times.repeat_interleave(2))
    assert seen.noise.std().item() == pytest.approx(1, abs=0.1)


def test_other_objectives_are_refused_with_their_name():
    with pytest.raises(ValueError, match="got Linear"):
        observe(torch.nn.Linear(1, 1), tones(1, 1), torch.tensor([0.5]))


class PastPredict(VDiffusion):
    """An objective of one's own that asks the net itself, its level by name or by place."""

    by_name = False

    def forward(self, x, generator=None, reduction="mean", *, times=None, **cond):
        noise = torch.randn(x.shape, generator=generator)
        alpha, sigma = (part.view(-1, 1, 1) for part in self.schedule.alpha_sigma(times))
        noisy = alpha * x + sigma * noise
        said = self.net(noisy, time=times) if self.by_name else self.net(noisy, times, **cond)
        return (said - (alpha * noise - sigma * x)).square().flatten(1).mean(1)


@pytest.mark.parametrize("by_name", [False, True])
def test_a_network_asked_past_predict_is_seen_too(by_name):
    model = DiffusionModel(UNetV0, PastPredict, in_channels=1, **NET)
    model.diffusion.by_name = by_name
    seen = observe(model, tones(3, 1), torch.tensor([0.2, 0.5, 0.8]))
    error = (seen.said - seen.wanted).square().flatten(1).mean(1)
    torch.testing.assert_close(error, seen.losses, rtol=1e-3, atol=1e-5)
    assert torch.equal(seen.ask(), seen.said) and not model.net._forward_hooks


def test_a_loss_that_does_not_ask_the_network_is_refused():
    model = DiffusionModel(UNetV0, in_channels=1, **NET)
    with pytest.raises(ValueError, match="0 and 0 calls"):
        observe(model, tones(2, 1), torch.full((2,), 0.5), loss=lambda *_: torch.zeros(2))


def test_conditions_change_places_item_by_item():
    order = torch.tensor([1, 0])
    tensor, layer = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]])
    cond = {
        "labels": tensor,
        "text": ["a", None],
        "channels": [None, layer],  # one for each level of a U-Net of two
        "inner": {"embedding": layer},
        "scale": 2.0,
        "one": torch.tensor([5.0]),
    }
    moved = permuted(cond, order)
    assert moved["labels"].tolist() == [[2.0], [1.0]]
    assert moved["text"] == [None, "a"]
    assert moved["channels"][0] is None and moved["channels"][1].tolist() == [[4.0], [3.0]]
    assert moved["inner"]["embedding"].tolist() == [[4.0], [3.0]]
    assert moved["scale"] == 2.0 and moved["one"].tolist() == [5.0]
