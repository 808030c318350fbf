"""Time the `UNetV0` that this process finds, ours or upstream's: started by `unet_speed.py`.

One JSON object a line comes in (`{"do": ..., ...}`), one goes out. Only torch and the package under
test are imported, and the clock runs in here, so that both sides pay for the same things.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
import types
from typing import Any

import torch
from torch import Tensor, nn

try:
    import torchaudio  # noqa: F401
except (ImportError, OSError):  # 0.1.3 wants it at import; its U-Net does not
    fake = types.ModuleType("torchaudio")
    fake.transforms = types.ModuleType("torchaudio.transforms")
    sys.modules |= {"torchaudio": fake, "torchaudio.transforms": fake.transforms}

from audio_diffusion_pytorch import UNetV0


class Worker:
    """One network and its batch."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    x: Tensor
    time: Tensor

    def build(
        self, arguments: dict[str, Any], shape: list[int], weights: str, make: bool
    ) -> dict[str, Any]:
        """Make the network; write its weights to the file `weights`, or read them from there."""
        torch.manual_seed(0)
        self.net = UNetV0(dim=1, **arguments)
        if make:
            torch.save(self.net.state_dict(), weights)
        else:
            self.net.load_state_dict(torch.load(weights))
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(shape, generator=generator)
        self.time = torch.rand(shape[0], generator=generator)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=0.0)  # weights stay as read
        return {"parameters": sum(weight.numel() for weight in self.net.parameters())}

    def forward(self) -> dict[str, Any]:
        """One forward pass without gradients: a sampler's step."""
        self.net.eval()
        with torch.no_grad():
            return timed(lambda: self.net(self.x, self.time))

    def train(self) -> dict[str, Any]:
        """One training step: forward, mean squared error, backward, AdamW."""
        self.net.train()

        def step() -> None:
            (self.net(self.x, self.time) - self.x).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

        return timed(step)

    def output(self, path: str) -> dict[str, Any]:
        """Write what the network says, for the comparison."""
        self.net.eval()
        with torch.no_grad():
            torch.save(self.net(self.x, self.time), path)
        return {}

    def about(self) -> dict[str, Any]:
        """Say who is measured, and with what."""
        try:
            version = importlib.metadata.version("audio-diffusion-pytorch")
        except importlib.metadata.PackageNotFoundError:
            version = "source tree"
        return {
            "version": version,
            "file": sys.modules["audio_diffusion_pytorch"].__file__,
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),
        }


def timed(call: Any) -> dict[str, Any]:
    """Return the seconds of a call."""
    began = time.perf_counter()
    call()
    return {"seconds": time.perf_counter() - began}


def main() -> None:
    """Answer until the input ends."""
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
