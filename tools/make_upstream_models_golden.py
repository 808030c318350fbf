"""Write the reference figures of the models of audio-diffusion-pytorch 0.1.3.

Run once, in a virtual environment of its own that holds the old release:

    pip install torch torchaudio numpy audio-diffusion-pytorch==0.1.3
    python tools/make_upstream_models_golden.py tests/golden

It writes one `upstream_NAME.npz` for each model below: its arguments, its weights, the loss of a
batch at recorded times and noise, and a sample of three steps, all float32 and small.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

SMALL = {
    "channels": [4, 8],
    "factors": [2, 2],
    "items": [1, 2],
    "resnet_groups": 4,
    "modulation_features": 8,
}
SEED = 11
STEPS = 3

Arrays = dict[str, np.ndarray]


def make_upsampler() -> Arrays:
    """A stereo upsampler by 4: loss, `reupsample` and a sample."""
    from audio_diffusion_pytorch import DiffusionUpsampler, UNetV0, VDiffusion, VSampler

    arguments = {**SMALL, "in_channels": 2, "upsample_factor": 4}
    model = DiffusionUpsampler(
        net_t=UNetV0, diffusion_t=VDiffusion, sampler_t=VSampler, **arguments
    )
    liven(model)
    audio, downsampled = 0.5 * torch.randn(2, 2, 64), 0.5 * torch.randn(2, 2, 16)
    figures = {
        "audio": audio,
        "reupsampled": model.reupsample(audio),
        "downsampled": downsampled,
        "sample": model.sample(
            downsampled, generator=Generator().manual_seed(SEED), num_steps=STEPS
        ),
    }
    return pack(arguments, model, figures | seeded_loss(model, audio))


def make_vocoder() -> Arrays:
    """A vocoder of 20 mel bands: spectrogram, loss and a sample, of two channels."""
    from audio_diffusion_pytorch import DiffusionVocoder, UNetV0, VDiffusion, VSampler

    arguments = {
        **SMALL,
        "mel_channels": 20,
        "mel_n_fft": 64,
        "mel_sample_rate": 8000,
        "mel_normalize_log": True,
    }
    model = DiffusionVocoder(net_t=UNetV0, diffusion_t=VDiffusion, sampler_t=VSampler, **arguments)
    liven(model)
    audio = 0.5 * torch.randn(2, 2, 128)
    spectrogram = model.to_spectrogram(audio)
    figures = {
        "audio": audio,
        "spectrogram": spectrogram,
        "sample": model.sample(
            spectrogram, generator=Generator().manual_seed(SEED), num_steps=STEPS
        ),
    }
    return pack(arguments, model, figures | seeded_loss(model, audio, items=4))


def make_diffusion_ae() -> Arrays:
    """A stereo autoencoder with a mel encoder: latents, loss and a decoded sound."""
    from audio_encoders_pytorch import MelE1d, TanhBottleneck

    from audio_diffusion_pytorch import DiffusionAE, UNetV0, VDiffusion, VSampler

    encoder = {
        "in_channels": 2,
        "channels": 16,
        "multipliers": [1, 1],
        "factors": [2],
        "num_blocks": [1],
        "out_channels": 3,
        "mel_channels": 8,
        "mel_sample_rate": 8000,
        "mel_n_fft": 64,
        "mel_hop_length": 8,
        "mel_win_length": 64,
        "mel_normalize_log": True,
    }
    arguments = {**SMALL, "channels": [4, 8, 8], "factors": [2, 4, 2], "items": [1, 2, 1]}
    arguments |= {"in_channels": 2, "inject_depth": 2}
    parts = {"net_t": UNetV0, "diffusion_t": VDiffusion, "sampler_t": VSampler}
    model = DiffusionAE(
        encoder=MelE1d(**encoder, bottleneck=TanhBottleneck()), **parts, **arguments
    )
    return autoencoded(model, {**arguments, "encoder": encoder})


def make_archisound() -> Arrays:
    """The layout of the public dmae1d-ATC64-v2: a learned transform, a magnitude encoder."""
    from audio_encoders_pytorch import ME1d, TanhBottleneck

    from audio_diffusion_pytorch import DiffusionAE, LTPlugin, UNetV0

    transform = {"num_filters": 4, "window_length": 8, "stride": 8}
    encoder = {
        "in_channels": 2,
        "channels": 16,
        "multipliers": [1, 1, 1],
        "factors": [2, 2],
        "num_blocks": [1, 1],
        "stft_num_fft": 31,
        "stft_hop_length": 8,
        "out_channels": 4,
    }
    arguments = {**SMALL, "channels": [8, 8, 8], "factors": [1, 2, 2], "items": [1, 1, 1]}
    arguments |= {"dim": 1, "in_channels": 2, "inject_depth": 2}
    model = DiffusionAE(
        net_t=LTPlugin(UNetV0, **transform),
        encoder=ME1d(**encoder, bottleneck=TanhBottleneck()),
        **arguments,
    )
    return autoencoded(model, {**arguments, "encoder": encoder, "transform": transform})


def autoencoded(model: nn.Module, arguments: Mapping[str, Any]) -> Arrays:
    """Return what an autoencoder makes of 128 samples, a power of two as it wants them."""
    liven(model)
    audio = 0.5 * torch.randn(2, 2, 128)
    latent = model.encode(audio)
    sample = model.decode(latent, generator=Generator().manual_seed(SEED), num_steps=STEPS)
    figures = {"audio": audio, "latent": latent, "sample": sample}
    return pack(arguments, model, figures | seeded_loss(model, audio))


def make_diffusion_ar() -> Arrays:
    """A stereo autoregressive model of 4 parts: loss, its first window and 3 parts more."""
    from audio_diffusion_pytorch import DiffusionAR, UNetV0

    arguments = {**SMALL, "in_channels": 2, "length": 64, "num_splits": 4}
    del arguments["modulation_features"]
    model = DiffusionAR(net_t=UNetV0, **arguments)
    liven(model)
    audio = 0.5 * torch.randn(2, 2, 64)
    torch.manual_seed(SEED)
    with torch.no_grad():
        loss = model(audio)
    torch.manual_seed(SEED)
    times, noise = torch.rand(2, 1, 4).repeat_interleave(16, -1), torch.randn_like(audio)
    figures = {"audio": audio, "loss": loss, "times": times, "noise": noise}
    for name, chunks in (("sample", 4), ("longer", 7)):
        torch.manual_seed(SEED)
        figures[name] = model.sample(num_items=2, num_chunks=chunks, num_steps=4 * STEPS)
    return pack(arguments, model, figures)


MODELS: dict[str, Callable[[], Arrays]] = {
    "upsampler": make_upsampler,
    "vocoder": make_vocoder,
    "diffusion_ae": make_diffusion_ae,
    "archisound": make_archisound,
    "diffusion_ar": make_diffusion_ar,
}


def liven(model: nn.Module) -> None:
    """Let what lies deep in a fresh network be heard, so that mistakes there can be seen."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("skip.blocks.0.1.bias"):
                weight.add_(1.0)
            elif name.endswith(".1.weight") and weight.ndim == 2:
                weight.mul_(2.0)


def seeded_loss(model: nn.Module, *inputs: Tensor, items: int | None = None) -> dict[str, Tensor]:
    """Return the loss after a known seed, and the times and noise that this seed gives.

    `items` is the number of signals inside, where it is not the batch; they are mono then.
    """
    torch.manual_seed(SEED)
    with torch.no_grad():
        loss = model(*inputs)
    torch.manual_seed(SEED)  # the objective draws its times, then its noise
    like = inputs[0] if items is None else inputs[0].reshape(items, 1, -1)
    return {"loss": loss, "times": torch.rand(len(like)), "noise": torch.randn_like(like)}


def pack(arguments: Mapping[str, Any], model: nn.Module, figures: Mapping[str, Tensor]) -> Arrays:
    """Return the arrays of one file; the network, which the model holds thrice, stands there once.

    `keys` are all names of upstream's state dict.
    """
    state = model.state_dict()
    copies = ("diffusion.net.", "sampler.net.")
    weights = {f"weight/{k}": v for k, v in state.items() if not k.startswith(copies)}
    arrays = {k: v.detach().float().numpy() for k, v in {**weights, **figures}.items()}
    return arrays | {
        "arguments": np.array(json.dumps(arguments)),
        "keys": np.array(json.dumps(list(state))),
    }


def main() -> None:
    """Write the models named, by default all, into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where to, such as tests/golden")
    parser.add_argument("names", nargs="*", choices=[[], *MODELS], help="default: all")
    options = parser.parse_args()
    for name in options.names or MODELS:
        torch.manual_seed(0)
        arrays = MODELS[name]()
        np.savez_compressed(options.folder / f"upstream_{name}.npz", **arrays)
        print(f"{name}: loss {arrays['loss']:.4f}, sample rms {arrays['sample'].std():.3f}")


if __name__ == "__main__":
    main()
