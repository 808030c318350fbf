"""Encoders of audio-encoders-pytorch are saved with a model though they record no arguments."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch import UNetV0
from audio_diffusion_pytorch.models import DiffusionAE, EncoderBase
from audio_diffusion_pytorch.serialization.described import describe, find_unknown
from audio_diffusion_pytorch.serialization.rebuilt import rebuild

pytest.importorskip("torchaudio", reason="the encoders need a torchaudio that fits this torch")
encoders = pytest.importorskip("audio_encoders_pytorch")

SIZES = {"channels": 8, "multipliers": [1, 2, 4], "factors": [2, 3], "num_blocks": [1, 2]}
STFT = {"stft_num_fft": 63, "stft_hop_length": 16, "stft_window_length": 48}
MEL = {"mel_n_fft": 128, "mel_hop_length": 32, "mel_win_length": 96, "mel_sample_rate": 16000}


def all_encoders():
    tanh, noise = encoders.TanhBottleneck(), encoders.NoiserBottleneck(0.25)
    kl = encoders.VariationalBottleneck(4, loss_weight=0.5)
    return {
        "Encoder1d": encoders.Encoder1d(2, **SIZES),
        "patches": encoders.Encoder1d(2, **SIZES, patch_size=4, resnet_groups=4, bottleneck=tanh),
        "no blocks": encoders.Encoder1d(1, 8, [1, 1], [2], [0]),
        "ME1d": encoders.ME1d(2, **STFT, **SIZES, use_log=True, out_channels=5),
        "MelE1d": encoders.MelE1d(
            2, 20, **MEL, **SIZES, mel_normalize_log=True, out_channels=4, bottleneck=[tanh, kl]
        ),
        "AutoEncoder1d": encoders.AutoEncoder1d(
            2, **SIZES, out_channels=1, patch_size=2, bottleneck=noise, bottleneck_channels=3
        ),
        "MAE1d": encoders.MAE1d(1, **STFT, **SIZES, bottleneck=tanh),
    }


@pytest.mark.parametrize("name", all_encoders())
def test_an_encoder_is_read_off_its_modules(name):
    module = all_encoders()[name].eval()
    again = rebuild(json.loads(json.dumps(describe(module)))).eval()
    assert str(again) == str(module)
    again.load_state_dict(module.state_dict())
    if name == "MAE1d":
        x = torch.rand(2, 1, 32, 24) + 0.1  # a magnitude
    else:
        x = torch.randn(2, 1 if name == "no blocks" else 2, 384)
    torch.manual_seed(3)
    wanted = module(x)
    torch.manual_seed(3)
    assert torch.equal(again(x), wanted)


class OwnEncoder(EncoderBase):
    """A user's encoder: what derives from the base records its arguments."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels, self.downsample_factor = width, 4
        self.conv = torch.nn.Conv1d(1, width, 4, stride=4)

    def forward(self, x, with_info=False):
        return (self.conv(x), {}) if with_info else self.conv(x)


@pytest.mark.parametrize("own", [False, True], ids=["MelE1d", "own"])
def test_an_autoencoder_as_in_the_readme(own, tmp_path):
    encoder = (
        OwnEncoder(3)
        if own
        else encoders.MelE1d(
            in_channels=1, mel_channels=10, channels=8, multipliers=[1, 1], factors=[2],
            num_blocks=[1], out_channels=3, **MEL, bottleneck=encoders.TanhBottleneck(),
        )
    )  # fmt: skip
    model = DiffusionAE(
        net_t=UNetV0,
        in_channels=1,
        channels=[8, 8, 8],
        factors=[1, 4, 16],
        items=[1, 1, 1],
        modulation_features=16,
        encoder=encoder,
        inject_depth=1 if own else 2,
    )
    assert not find_unknown(describe(model))
    model.save_pretrained(tmp_path)
    loaded = DiffusionAE.from_pretrained(tmp_path, trusted=[OwnEncoder] if own else [])
    x = torch.randn(2, 1, 512, generator=Generator().manual_seed(1))
    losses = [m(x, generator=Generator().manual_seed(2)) for m in (model, loaded)]
    assert torch.equal(*losses)
    sounds = [
        m.decode(m.encode(x), generator=Generator().manual_seed(3), num_steps=2)
        for m in (model, loaded)
    ]
    assert torch.equal(*sounds)
