"""One side of a comparison: the `audio_diffusion_pytorch` that this process finds.

Started by `_sides.py`. One JSON object a line comes in (`{"do": ..., ...}`), one goes out. Only
torch and the package under test are imported, and the clock runs in here, so that both sides pay
for the same things.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import itertools
import json
import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from _probes import Copies, convolution_rate, count_flops, peak_of, product_rate, trim
from torch import Tensor, nn

try:
    import torchaudio  # noqa: F401
except (ImportError, OSError):  # 0.1.3 wants it at import; what is measured does not
    fake = types.ModuleType("torchaudio")
    fake.transforms = types.ModuleType("torchaudio.transforms")
    sys.modules |= {"torchaudio": fake, "torchaudio.transforms": fake.transforms}

from audio_diffusion_pytorch import DiffusionModel, UNetV0, VDiffusion, VSampler
from audio_diffusion_pytorch.components import AppendChannelsPlugin


class View(NamedTuple):
    """One way to run the model: its own modules, the weights of all."""

    model: nn.Module
    dtype: torch.dtype
    autocast: bool


class Worker:
    """One model, the ways to run it, and what it is run on."""

    model: nn.Module
    views: dict[str, View]
    audio: Tensor
    time: Tensor
    tensors: dict[str, Tensor]
    numbers: dict[str, float]

    def __init__(self, upstream: bool) -> None:
        self.upstream = upstream
        self.device = torch.device("cpu")
        self.optimizer: torch.optim.Optimizer | None = None

    def about(self) -> dict[str, Any]:
        """Say who is measured, and with what."""
        try:
            version = importlib.metadata.version("audio-diffusion-pytorch")
        except importlib.metadata.PackageNotFoundError:
            version = "source tree"
        return {
            "version": version,
            "python": sys.version.split()[0],
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),
        }

    def build(
        self, network: dict[str, Any], weights: str | None, make: bool, device: str
    ) -> dict[str, Any]:
        """Make the model; write its network's weights to the file `weights`, or read them."""
        torch.compiler.reset()  # what was compiled for the last network is of no use
        self.views, self.optimizer, self.device = {}, None, torch.device(device)
        self.model = nn.Module()  # frees the last model before there is a new one
        torch.manual_seed(0)
        appended = network["append_channels"]
        self.model = DiffusionModel(
            net_t=AppendChannelsPlugin(UNetV0, channels=appended) if appended else UNetV0,
            diffusion_t=VDiffusion,
            sampler_t=VSampler,
            **network["arguments"],
        )
        if weights is not None and make:
            torch.save(self.model.net.state_dict(), weights)
        elif weights is not None:
            self.model.net.load_state_dict(torch.load(weights))
        self.model.to(self.device)
        generator = torch.Generator().manual_seed(1)
        shape = network["shape"]
        self.audio = torch.randn(shape, generator=generator).to(self.device)
        self.time = torch.rand(shape[0], generator=generator).to(self.device)
        self.tensors = {
            name: torch.randn(size, generator=generator).to(self.device)
            for name, size in network["tensors"].items()
        }
        self.numbers = network["numbers"]
        return {"parameters": sum(weight.numel() for weight in self.model.parameters())}

    def view(
        self, name: str, precision: str, compiled: bool, checkpointing: bool
    ) -> dict[str, Any]:
        """Make one way to run the model; the first call of it compiles."""
        model = self.model
        changed = compiled or checkpointing or precision == "bf16"
        if changed and self.upstream:
            if checkpointing or precision == "bf16":
                raise ValueError("0.1.3 does not offer this")
            model = with_net(model, torch.compile(model.net))
        elif changed:
            weights = {id(t): t for t in itertools.chain(model.parameters(), model.buffers())}
            if precision == "bf16":
                model = copy.deepcopy(model).to(torch.bfloat16)
            else:
                model = copy.deepcopy(model, weights)  # new modules, the same weights
            if checkpointing:
                first(model.net, "set_gradient_checkpointing")(True)
            if compiled:
                compile_net(model)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.views[name] = View(model, dtype, precision == "autocast")
        return {}

    def call(self, view: str) -> dict[str, Any]:
        """Call the network once, without gradients."""
        chosen = self.views[view]
        chosen.model.eval()
        x, tensors = self.inputs(chosen)
        with torch.no_grad(), self.precision(chosen):
            return self.timed(lambda: chosen.model.net(x, self.time, **tensors, **self.numbers))

    def sample(self, view: str, steps: int) -> dict[str, Any]:
        """Sample in `steps` steps; the seconds are those of one."""
        chosen = self.views[view]
        chosen.model.eval()
        x, tensors = self.inputs(chosen)
        with torch.no_grad(), self.precision(chosen):
            found = self.timed(
                lambda: chosen.model.sample(x, num_steps=steps, **tensors, **self.numbers)
            )
        return {"seconds": found["seconds"] / steps}

    def train(self, view: str, keep_gradients: bool = False) -> dict[str, Any]:
        """Make one training step: loss, backward pass, AdamW."""
        chosen = self.views[view]
        chosen.model.train()
        x, tensors = self.inputs(chosen)
        optimizer = self.adamw()
        self.wait()
        times = [time.perf_counter()]
        with self.precision(chosen):
            loss = chosen.model(x, **tensors)
        times.append(time.perf_counter())
        loss.backward()
        times.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad(set_to_none=not keep_gradients)
        self.wait()
        times.append(time.perf_counter())
        forward, backward, update = (after - t for t, after in itertools.pairwise(times))
        parts = {"forward": forward, "backward": backward, "optimizer": update}
        return {"seconds": times[-1] - times[0], "parts": parts}

    def output(self, view: str, path: str) -> dict[str, Any]:
        """Write what the network says, for the comparison."""
        chosen = self.views[view]
        chosen.model.eval()
        x, tensors = self.inputs(chosen)
        with torch.no_grad(), self.precision(chosen):
            y = chosen.model.net(x, self.time, **tensors, **self.numbers)
        torch.save(y.float().cpu(), path)
        return {}

    def flops(self, task: str) -> dict[str, Any]:
        """Count the floating point operations of a network call, or of a training step."""
        self.model.train(task == "train")

        def call() -> None:
            with torch.no_grad():
                self.model.net(self.audio, self.time, **self.tensors, **self.numbers)

        def train() -> None:
            self.model(self.audio, **self.tensors).backward()
            self.model.zero_grad()

        return {"flops": count_flops(train if task == "train" else call)}

    def copies(self, steps: int) -> dict[str, Any]:
        """Return the bytes that one sampler step spends on copying tensors, views left out."""
        with torch.no_grad(), Copies() as copied:
            self.model.sample(self.audio, num_steps=steps, **self.tensors, **self.numbers)
        return {"bytes": copied.bytes / steps}

    def rate(self, of: str, precision: str) -> dict[str, Any]:
        """Return the operations a second of a large product of matrices, or of a convolution."""
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        large = self.device.type == "cuda"
        if of == "product":
            return {"rate": product_rate(8192 if large else 2048, dtype, self.device)}
        channels, length = (2048, 16384) if large else (256, 8192)
        return {"rate": convolution_rate(channels, length, dtype, self.device)}

    def peak(self, view: str, settle: bool) -> dict[str, Any]:
        """Return the bytes a training step needs beyond weights, gradients and AdamW's state.

        These stand in memory before. `settle` makes a step first (which may compile).
        """
        for weight in self.model.parameters():
            weight.grad = torch.empty_like(weight).fill_(0.0)  # written to, so really there
        self.adamw().step()
        self.rehearse(view)
        if settle:
            self.train(view, keep_gradients=True)
        trim()
        found = peak_of(lambda: self.train(view, keep_gradients=True), self.device)
        kept = [weight.nbytes for weight in self.model.parameters()]
        kept += [
            weight.grad.nbytes for weight in self.model.parameters() if weight.grad is not None
        ]
        state = self.adamw().state.values()
        kept += [part.nbytes for one in state for part in one.values() if torch.is_tensor(part)]
        return {**found, "kept": sum(kept)}

    def rehearse(self, view: str) -> None:
        """Train a tiny network once: what libraries load and keep is no part of a step."""
        tiny = DiffusionModel(
            net_t=UNetV0,
            diffusion_t=VDiffusion,
            sampler_t=VSampler,
            in_channels=2,
            channels=[8, 16],
            factors=[1, 2],
            items=[1, 1],
            attentions=[0, 1],
            attention_heads=2,
            attention_features=8,
            modulation_features=16,
        ).to(self.device)
        with self.precision(self.views[view]):
            loss = tiny(torch.zeros(1, 2, 64, device=self.device))
        loss.backward()

    def inputs(self, view: View) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the input and the conditions in the format of a view's weights."""
        tensors = {name: tensor.to(view.dtype) for name, tensor in self.tensors.items()}
        return self.audio.to(view.dtype), tensors

    def precision(self, view: View) -> contextlib.AbstractContextManager[None]:
        """Return the context in which a view runs."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=view.autocast)

    def adamw(self) -> torch.optim.Optimizer:
        """Return the optimizer of all views, the same on both sides."""
        if self.optimizer is None:  # a rate of 0: the weights stay as they were read
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0)
        return self.optimizer

    def timed(self, call: Callable[[], object]) -> dict[str, Any]:
        """Return the seconds of a call."""
        self.wait()
        began = time.perf_counter()
        call()
        self.wait()
        return {"seconds": time.perf_counter() - began}

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def first(net: nn.Module, method: str) -> Any:
    """Return a method of the first module that has it: plugins wrap the network that does."""
    return next(getattr(module, method) for module in net.modules() if hasattr(module, method))


def compile_net(model: nn.Module) -> None:
    """Compile as the library offers it: block by block, or by the model; else the whole network."""
    if any(hasattr(module, "compile_blocks") for module in model.modules()):
        first(model, "compile_blocks")()
    elif type(model).compile is not nn.Module.compile:
        model.compile()
    else:
        model.net.compile()


def with_net(model: nn.Module, net: Any) -> nn.Module:
    """Return a model of 0.1.3 with another network in the place of its own, which stays as it is.

    Its modules are closures, which no deepcopy can copy.
    """

    def shallow(module: nn.Module) -> nn.Module:
        twin = copy.copy(module)
        twin._modules = dict(module._modules)
        return twin

    twin = shallow(model)
    twin.net = net
    for part in ("diffusion", "sampler"):
        inner = shallow(getattr(model, part))
        inner.net = net
        setattr(twin, part, inner)
    return twin


def answers(worker: Worker, lines: Iterator[str]) -> Iterator[str]:
    """Answer each request; an error is an answer too."""
    for line in lines:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # whatever it is, the other variants go on
            text = str(error).strip().splitlines() or ["no reason given"]
            answer = {"error": type(error).__name__, "reason": text[0]}
        yield json.dumps(answer)


def main() -> None:
    """Answer until the input ends; whatever else is printed goes to the error output."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(upstream=sys.argv[1] == "upstream")
    for answer in answers(worker, iter(sys.stdin.readline, "")):
        print(answer, file=out, flush=True)


if __name__ == "__main__":
    main()
