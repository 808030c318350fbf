"""Write the reference outputs of audio-diffusion-pytorch 0.1.3 that the tests compare with.

Run once, in a virtual environment of its own that holds the old release:

    pip install torch numpy audio-diffusion-pytorch==0.1.3
    python tools/make_upstream_golden.py tests/golden

It writes one `upstream_unet_NAME.npz` for each network below (the arguments, the weights, the
inputs and the output, all float32 and small) and `upstream_model.npz`, a whole `DiffusionModel`
with its loss and a sample. torchaudio is replaced by an empty module, since the
old package imports it but the networks do not use it.
"""

from __future__ import annotations

import argparse
import json
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

BASE = {"dim": 1, "in_channels": 2, "channels": [4, 8], "factors": [2, 2], "items": [1, 2]}
HEADS = {"attention_heads": 2, "attention_features": 4}
MODULATION = {"resnet_groups": 4, "modulation_features": 8}
TOKENS = {"cross_attentions": [0, 1], "embedding_features": 6}
GUIDANCE = {"use_embedding_cfg": True, "embedding_max_length": 5}
README = {  # the network of the old README, in small
    "channels": [4, 8, 8, 8],
    "factors": [1, 4, 2, 2],
    "items": [1, 2, 2, 4],
    "attentions": [0, 0, 1, 1],
}

# name: (arguments of the network, keywords of its call as shapes or numbers)
CASES: dict[str, tuple[dict, dict]] = {
    "plain": ({**BASE, **MODULATION}, {}),
    "times": ({**BASE, **MODULATION}, {"time": (2, 3)}),
    "attentions": ({**BASE, **MODULATION, **HEADS, "attentions": [1, 2]}, {}),
    "cross_attentions": (
        {**BASE, **MODULATION, **HEADS, **TOKENS, "attentions": [0, 1]},
        {"embedding": (2, 4, 6)},
    ),
    "guidance": (
        {**BASE, **MODULATION, **HEADS, **TOKENS, **GUIDANCE},
        {"embedding": (2, 4, 6), "embedding_scale": 3.0},
    ),
    "guidance_masked": (
        {**BASE, **MODULATION, **HEADS, **TOKENS, **GUIDANCE},
        {"embedding": (2, 5, 6), "embedding_mask_proba": 1.0},
    ),
    "context": (
        {**BASE, **MODULATION, "context_channels": [3, 0]},
        {"channels": [(2, 3, 16)]},
    ),
    "out_channels": ({**BASE, **MODULATION, "out_channels": 3}, {}),
    "features": ({**BASE, **MODULATION}, {"features": (2, 8)}),
    "features_only": (
        {**BASE, **MODULATION, "use_time_conditioning": False},
        {"time": None, "features": (2, 8)},
    ),
    "unmodulated": (
        {**BASE, "resnet_groups": 4, "use_modulation": False, "use_time_conditioning": False},
        {"time": None},
    ),
    "images": (
        {**BASE, **MODULATION, **HEADS, "dim": 2, "attentions": [0, 1]},
        {"x": (2, 2, 8, 12)},
    ),
    "readme": ({**BASE, **README, **HEADS, **MODULATION}, {"x": (1, 2, 256), "time": (1,)}),
    "everything": (
        {
            **BASE,
            **MODULATION,
            **HEADS,
            **TOKENS,
            **GUIDANCE,
            "attentions": [1, 0],
            "context_channels": [1, 2],
            "out_channels": 1,
        },
        {
            "embedding": (2, 3, 6),
            "embedding_scale": 3.0,
            "channels": [(2, 1, 16), (2, 2, 8)],
            "features": (2, 8),
        },
    ),
}


def draw(value: object) -> object:
    """Turn each shape (a tuple) into normal noise; keep everything else."""
    if isinstance(value, tuple):
        return torch.randn(value)
    return [draw(entry) for entry in value] if isinstance(value, list) else value


def make_case(net_type: type, arguments: dict, call: dict) -> dict[str, np.ndarray]:
    """Run one network of upstream's; return all that is needed to compare with it."""
    net = net_type(**arguments)
    # A fresh network multiplies what comes from each deeper level by about 0.03, so that mistakes
    # far inside could not be seen in the output, and hardly listens to its features.
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("skip.blocks.0.1.bias"):
                weight.add_(1.0)
            elif name.endswith(".1.weight") and weight.ndim == 2:
                weight.mul_(2.0)
    inputs = {"x": (2, 2, 32), "time": (2,), **call}
    inputs = {name: draw(value) for name, value in inputs.items() if value is not None}
    with torch.no_grad():
        output = net(**inputs)
    # The second of the two tied time layers is left out of the file: it equals the first.
    arrays = {
        f"weight/{name}": value
        for name, value in net.state_dict().items()
        if not name.startswith("blocks.1.blocks.1.")
    }
    settings = {}
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor):
            arrays[f"input/{name}"] = value
        elif isinstance(value, list):
            arrays |= {f"input/{name}/{i}": entry for i, entry in enumerate(value)}
        else:
            settings[name] = value
    result = {name: value.numpy() for name, value in (arrays | {"output": output}).items()}
    return result | {"arguments": np.array(json.dumps([arguments, settings]))}


def make_model(model_type: Callable, net_type: type) -> dict[str, np.ndarray]:
    """Run a whole model of upstream's: the loss after a known seed, and a sample in 10 steps."""
    arguments = {**BASE, **README, **HEADS, **MODULATION}
    del arguments["dim"]
    model = model_type(net_type, **arguments)
    audio, noise = 0.5 * torch.randn(3, 2, 256), torch.randn(2, 2, 256)
    torch.manual_seed(1)
    with torch.no_grad():
        loss = model(audio)
    arrays = {
        "loss": loss,
        "audio": audio,
        "noise": noise,
        "sample": model.sample(noise, num_steps=10),
    }
    state = model.state_dict()  # the network stands in it three times
    arrays |= {f"weight/{name}": value for name, value in state.items() if name.startswith("net.")}
    return {name: value.numpy() for name, value in arrays.items()} | {
        "arguments": np.array(json.dumps(arguments)),
        "keys": np.array(json.dumps(list(state))),
    }


def main() -> None:
    """Write all cases into the folder given as the only argument."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where to, such as tests/golden")
    folder = parser.parse_args().folder
    stub = types.ModuleType("torchaudio")
    stub.transforms = types.ModuleType("torchaudio.transforms")  # type: ignore[attr-defined]
    sys.modules |= {"torchaudio": stub, "torchaudio.transforms": stub.transforms}
    from audio_diffusion_pytorch import DiffusionModel, UNetV0, VDiffusion, VSampler

    for seed, (name, (arguments, call)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        arrays = make_case(UNetV0, arguments, call)
        np.savez_compressed(folder / f"upstream_unet_{name}.npz", **arrays)
        print(f"{name}: output rms {np.sqrt((arrays['output'] ** 2).mean()):.3f}")
    torch.manual_seed(len(CASES))
    parts = {"diffusion_t": VDiffusion, "sampler_t": VSampler}
    arrays = make_model(partial(DiffusionModel, **parts), UNetV0)
    np.savez_compressed(folder / "upstream_model.npz", **arrays)
    print(f"model: loss {arrays['loss']:.4f}")


if __name__ == "__main__":
    main()
