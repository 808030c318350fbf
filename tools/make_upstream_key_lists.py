"""Write the names and shapes of the weights of a published model of audio-diffusion-pytorch 0.1.

Run in an environment with the old release (see make_upstream_golden.py) and audio-encoders-pytorch:

    python tools/make_upstream_key_lists.py tests/golden/keys

The model is made on the meta device, without memory or values. Upstream registers its network three
times; the copies below `diffusion.` and `sampler.` are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn


def dmae1d_atc64_v2() -> nn.Module:
    """The public diffusion autoencoder of that name, 741 MB of float32."""
    from audio_encoders_pytorch import ME1d, TanhBottleneck

    from audio_diffusion_pytorch import DiffusionAE, LTPlugin, UNetV0

    return DiffusionAE(
        net_t=LTPlugin(UNetV0, num_filters=128, window_length=64, stride=64),
        dim=1,
        in_channels=2,
        channels=[256, 512, 512, 512, 1024, 1024, 1024],
        factors=[1, 2, 2, 2, 2, 2, 2],
        items=[1, 2, 2, 2, 2, 2, 2],
        encoder=ME1d(
            in_channels=2,
            channels=512,
            multipliers=[1, 1, 1],
            factors=[2, 2],
            num_blocks=[4, 8],
            stft_num_fft=1023,
            stft_hop_length=256,
            out_channels=32,
            bottleneck=TanhBottleneck(),
        ),
        inject_depth=4,
    )


def main() -> None:
    """Write one list."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with torch.device("meta"):
        state = dmae1d_atc64_v2().state_dict()
    lines = [
        f"{key} {tuple(value.shape)}".replace(", ", ",")
        for key, value in state.items()
        if not key.startswith(("diffusion.", "sampler."))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "upstream_dmae1d_atc64_v2.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} weights")


if __name__ == "__main__":
    main()
