"""Diffusion autoencoders that were published as ArchiSound, from their downloaded folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from audio_diffusion_pytorch.nets import LTPlugin, UNetV0
from audio_diffusion_pytorch.serialization import load_upstream_weights

from .diffusion_ae import DiffusionAE

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def load_archisound(folder: str | Path, **arguments: Any) -> DiffusionAE:
    """Return the diffusion autoencoder of a folder downloaded from ArchiSound, with its weights.

    The folder holds config.json and pytorch_model.bin (or model.safetensors), as downloaded. Their
    config.json only names the model, whose sizes stood in code beside it that is not run here:
    `dmae1d-ATC64-v2` is known. For others pass what the model is made of.

    Args:
        folder: The downloaded folder.
        **arguments: For `DiffusionAE`, in place of the known ones or where none are known:
            `net_t`, `channels`, `factors`, `items`, `encoder`, `inject_depth`, ...

    Raises:
        FileNotFoundError: If the folder or its weights are missing.
        ImportError: If audio-encoders-pytorch, which holds the encoders, cannot be imported.
        ValueError: If the model is not known and no arguments are given, a file is damaged, or the
            weights do not fit.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: download the model to one first")
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise FileNotFoundError(f"there is no {' or '.join(_WEIGHTS)} in {folder}: download it too")
    name = _model_name(folder / "config.json")
    known = dmae1d_atc64_v2_arguments(arguments) if name == "dmae1d-ATC64-v2" else {}
    if not known and not arguments:
        raise ValueError(
            f"{folder} holds {name or 'a model without a name'}, whose sizes are not known here "
            "(those of dmae1d-ATC64-v2 are): pass net_t=..., channels=..., encoder=..., and so on"
        )
    with torch.random.fork_rng(devices=[]):
        model = DiffusionAE(**{**known, **arguments})
    load_upstream_weights(model, weights)
    return model


def _model_name(path: Path) -> str:
    """Return the last part of the model's name, empty if there is none.

    Raises:
        ValueError: If the file is no JSON.
    """
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return ""
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): download it once more") from error
    return str(config.get("model_type", "")).split("/")[-1]


def dmae1d_atc64_v2_arguments(given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments of the 185 M parameter autoencoder `dmae1d-ATC64-v2`.

    Stereo at 48 kHz to 32 channels, one latent per 1024 samples; 64 times fewer numbers.

    Args:
        given: Arguments that will be used instead; an encoder among them is not made here.
    """
    known: dict[str, Any] = {
        "net_t": LTPlugin(UNetV0, num_filters=128, window_length=64, stride=64),
        "in_channels": 2,
        "channels": [256, 512, 512, 512, 1024, 1024, 1024],
        "factors": [1, 2, 2, 2, 2, 2, 2],
        "items": [1, 2, 2, 2, 2, 2, 2],
        "inject_depth": 4,
    }
    if given and "encoder" in given:
        return known
    try:
        from audio_encoders_pytorch import ME1d, TanhBottleneck
    except (ImportError, OSError) as error:  # its torchaudio may be of another torch
        raise ImportError(
            f"the encoder needs audio-encoders-pytorch, which cannot be imported ({error}): pip "
            "install audio-encoders-pytorch, and torchaudio in the build that fits this torch"
        ) from error
    known["encoder"] = ME1d(
        in_channels=2,
        channels=512,
        multipliers=[1, 1, 1],
        factors=[2, 2],
        num_blocks=[4, 8],
        stft_num_fft=1023,
        stft_hop_length=256,
        out_channels=32,
        bottleneck=TanhBottleneck(),
    )
    return known
