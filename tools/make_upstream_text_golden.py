"""Write the reference figures of text conditioning in audio-diffusion-pytorch 0.1.3.

Run once, in a virtual environment of its own that holds the old release:

    pip install torch torchaudio numpy transformers audio-diffusion-pytorch==0.1.3
    python tools/make_upstream_text_golden.py tests/golden

The old `UNetV0` builds a T5 by itself; here that is a tiny random one with the byte-level
tokenizer. It writes `upstream_text.npz`: the arguments, all weights (those of the T5 too), the
inputs, and the outputs for texts that fill all tokens and for texts that are padded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import a_unet.blocks
import numpy as np
import torch
from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

TOKENS = 12
T5 = {"vocab_size": 259, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
NET = {
    "dim": 1,
    "in_channels": 2,
    "channels": [4, 8],
    "factors": [2, 2],
    "items": [1, 2],
    "resnet_groups": 4,
    "modulation_features": 8,
    "attention_heads": 2,
    "attention_features": 4,
    "cross_attentions": [0, 1],
    "embedding_features": 8,
    "embedding_max_length": TOKENS,
    "use_embedding_cfg": True,
    "use_text_conditioning": True,
}
FULL = ["a low piano", "eleven byte"]  # with the end mark, as many tokens as there are
PADDED = ["a low piano", "bell"]
SCALE = 3.0


class TinyEmbedder(a_unet.blocks.T5Embedder):
    """The old embedder around a T5 that needs no download."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.tokenizer = ByT5Tokenizer()
        self.transformer = T5EncoderModel(T5Config(**T5))
        self.max_length = TOKENS
        self.embedding_features = T5["d_model"]


def main() -> None:
    """Write the case into the folder given as the only argument."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where to, such as tests/golden")
    folder = parser.parse_args().folder
    a_unet.blocks.T5Embedder = TinyEmbedder
    from audio_diffusion_pytorch import UNetV0

    torch.manual_seed(0)
    net = UNetV0(**NET)
    with torch.no_grad():  # see make_upstream_golden.py: let the inside be heard
        for name, weight in net.named_parameters():
            if name.endswith("skip.blocks.0.1.bias"):
                weight.add_(1.0)
            elif name.endswith(".1.weight") and weight.ndim == 2:
                weight.mul_(2.0)
            elif "to_out" in name or "attention.blocks" in name or "to_kv" in name:
                weight.mul_(3.0)
    x, time = torch.randn(2, 2, 32), torch.rand(2)
    arrays = {"x": x, "time": time}
    with torch.no_grad():
        for name, texts in (("full", FULL), ("padded", PADDED)):
            arrays[f"out/{name}"] = net(x, time, text=texts)
            arrays[f"out/{name}_guided"] = net(x, time, text=texts, embedding_scale=SCALE)
    arrays |= {f"weight/{name}": value for name, value in net.state_dict().items()}
    np.savez_compressed(
        folder / "upstream_text.npz",
        arguments=np.array(json.dumps([NET, T5, FULL, PADDED, SCALE])),
        **{name: value.numpy() for name, value in arrays.items()},
    )
    print(f"text: output rms {arrays['out/full'].square().mean().sqrt():.3f}")


if __name__ == "__main__":
    main()
