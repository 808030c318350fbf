"""A small real training: tones in WAV files, a tiny network, a log of exact numbers.

Imported by the tests of this folder and run as a script where a process must die or have company.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import signal
from pathlib import Path

import soundfile
import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.training import (
    TrainConfig,
    derive_seed,
    diffusion_loss,
    fit,
    start_processes,
)

SAMPLE_RATE, LENGTH = 8000, 128


def make_tones(folder: Path, count: int = 12) -> Path:
    """Write `count` WAV files of a tenth of a second, one pitch each."""
    folder.mkdir(parents=True, exist_ok=True)
    time = torch.arange(800) / SAMPLE_RATE
    for number in range(count):
        tone = 0.5 * torch.sin(2 * math.pi * (200 + 40 * number) * time)
        soundfile.write(folder / f"tone_{number:02d}.wav", tone.numpy(), SAMPLE_RATE, "FLOAT")
    return folder


class Tones(torch.utils.data.Dataset):
    """Random stretches of the WAV files of a folder, fixed by (epoch, index); remembers names."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.wav"))
        self.seen: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: tuple[int, int]) -> Clip:
        epoch, index = key
        file = self.files[index]
        self.seen.append((epoch, file.name))
        start = derive_seed(epoch, index) % (800 - LENGTH)
        audio, _ = soundfile.read(file, LENGTH, start, dtype="float32", always_2d=True)
        labels = torch.zeros(0, dtype=torch.int64)
        return Clip(torch.from_numpy(audio.T.copy()), labels, f"{file.name}@{start}")


class TinyModel(nn.Module):
    """v-diffusion on raw audio with a two-layer network and dropout."""

    def __init__(self, width: int = 8, dropout: float = 0.05) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.net = TinyNet(width, dropout)
        for weight in self.net.parameters():
            with torch.no_grad():
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(
        self,
        audio: Tensor,
        generator: torch.Generator | None = None,
        reduction: str = "mean",
        times: Tensor | None = None,
    ) -> Tensor:
        x = audio * self.scale
        device = x.device
        if times is None:
            times = torch.rand(len(x), generator=generator, device=device)
        noise = torch.randn(x.shape, generator=generator, device=device)
        angle = (times * math.pi / 2).reshape(-1, 1, 1)
        noisy = angle.cos() * x + angle.sin() * noise
        target = angle.cos() * noise - angle.sin() * x
        losses = (self.net(noisy, times).float() - target).square().mean((1, 2))
        return losses.mean() if reduction == "mean" else losses


class TinyNet(nn.Module):
    """Two convolutions of 15 samples and a bias from the time."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inside = nn.Conv1d(1, width, 15, padding=7)
        self.time = nn.Linear(1, width)
        self.dropout = nn.Dropout(dropout)
        self.outside = nn.Conv1d(width, 1, 15, padding=7)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = self.inside(x) + self.time(time.reshape(-1, 1))[:, :, None]
        return self.outside(self.dropout(torch.tanh(hidden)))


class Rows:
    """A logger that keeps every number, and every bit of it, by step."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.rows.setdefault(step, {}).update(values)

    def losses(self, after: int = 0) -> dict[int, str]:
        """The training losses in hexadecimal, of the steps after `after`."""
        return {
            step: row["train/loss"].hex()
            for step, row in self.rows.items()
            if step > after and "train/loss" in row
        }


def small_config(**settings: object) -> TrainConfig:
    """A config for tests: every step logged, nothing rare."""
    values: dict[str, object] = {
        "batch_size": 4, "learning_rate": 3e-3, "warmup_steps": 5, "log_every": 1, "device": "cpu",
        "precision": "fp32", "validate_every": 0, "checkpoint_every": 0, "validation_items": 8,
        "sample_every": 0,
    }  # fmt: skip
    return TrainConfig(**{**values, **settings})


def digest(module: nn.Module) -> str:
    """All bits of the weights as one word."""
    total = hashlib.sha256()
    for tensor in module.state_dict().values():
        total.update(tensor.detach().numpy().tobytes())
    return total.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=["killed", "together"])
    parser.add_argument("tones", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    {"killed": killed, "together": together}[arguments.job](arguments.tones, arguments.folder)


def killed(tones: Path, folder: Path) -> None:
    """Train and die without a word in the middle of step 17, checkpoints at 5, 10, 15."""
    calls = 0

    def loss(model: nn.Module, batch: Clip, generator: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2 * 17 + 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return diffusion_loss(model, batch, generator)

    config = small_config(max_steps=30, accumulate=2, num_workers=1, checkpoint_every=5)
    fit(TinyModel(), Tones(tones), config, folder, loss=loss)


def together(tones: Path, folder: Path) -> None:
    """Several trainings in one group of processes; each process writes what it saw."""
    processes = start_processes("cpu")
    report: dict[str, object] = {"world_size": processes.world_size, "rank": processes.rank}

    def train(name: str, resume: bool = False, **settings: object) -> dict[str, object]:
        model, data, rows = TinyModel(), Tones(tones), Rows()
        if processes.rank == 1:  # other weights than rank 0's must be overwritten
            nn.init.ones_(model.net.time.bias)
        stop_at = settings.pop("stop_at", None)

        def loss(
            model: nn.Module,
            batch: Clip,
            generator: torch.Generator,
            times: Tensor | None = None,
        ) -> Tensor:
            losses = diffusion_loss(model, batch, generator, times)
            if processes.rank == 1 and len(data.seen) == stop_at:
                signal.raise_signal(signal.SIGTERM)  # only this process is asked to stop
            return losses

        result = fit(
            model, data, small_config(batch_size=3, **settings), folder / name, loss=loss,
            loggers=[rows], resume=resume, processes=processes,
            validation=Tones(tones) if settings.get("validation_items") else None,
        )  # fmt: skip
        return {
            "step": result.step, "reason": result.reason, "digest": digest(model),
            "ema": digest(result.ema.module), "seen": data.seen, "losses": rows.losses(),
            "best_loss": result.best_loss,
        }  # fmt: skip

    report["steps"] = train("steps", max_steps=10, accumulate=2, validation_items=8)
    report["minutes"] = train("minutes", max_minutes=0.5 / 60)
    report["stopped"] = train("stopped", max_steps=10, accumulate=2, stop_at=3 * 2 * 4)
    report["resumed"] = train("stopped", max_steps=10, accumulate=2, resume=True)
    (folder / f"rank_{processes.rank}.json").write_text(json.dumps(report))
    processes.close()


if __name__ == "__main__":
    main()
