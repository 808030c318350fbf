"""Time to make one clip of 4 s at 32 kHz with 20 net calls: at most 60 s on a CPU.

python benchmarks/sampling_time.py

The user diary that set this bar waited 47 minutes for a sample of 4 to 8 s at 32 kHz: 1000 steps of
2.82 s each. The networks are those of the recipes, untrained: time does not depend on the weights.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from _results import ROOT, import_recipes, median, report

import_recipes()

from recipe import Config, build_model  # noqa: E402

from audio_diffusion_pytorch.training import load_config, make_sounds  # noqa: E402

RATE, SECONDS, BAR = 32000, 4, 60.0
HEAD = ["network", "parameters", "net calls", "seconds", "x real time", f"at most {BAR:.0f} s"]


def settings() -> dict[str, Config]:
    """Return the settings of both networks at 4 s of mono at 32 kHz."""
    waveform = load_config(Config, ROOT / "examples" / "configs" / "config.ini")
    spectrum = Config()
    for config in (waveform, spectrum):
        config.data = replace(config.data, sample_rate=RATE, length=SECONDS * RATE, channels=1)
    return {"waveform U-Net of config.ini": waveform, "MDCT net of the recipes": spectrum}


def main() -> None:
    """Measure both networks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20, help="sampler steps, one net call each")
    parser.add_argument("--repeats", type=int, default=3, help="clips made, one at a time")
    options = parser.parse_args()
    rows, figures = [], {}
    for name, config in settings().items():
        model = build_model(config).eval()
        generator = torch.Generator().manual_seed(0)
        length = config.data.length
        model.fit_normalizer([0.1 * torch.randn(4, 1, length, generator=generator)])
        make_sounds(model, 1, length, RATE, 2)  # warm-up
        made = [make_sounds(model, 1, length, RATE, options.steps) for _ in range(options.repeats)]
        spent = median([one.seconds for one in made])
        count = sum(weight.numel() for weight in model.parameters())
        passed = spent < BAR
        figures[name] = {
            "parameters": count,
            "net_calls": made[0].net_calls,
            "seconds": spent,
            "real_time_factor": SECONDS / spent,
            "latent_shape": model.latent_shape(1, length),
            "pass": passed,
        }
        rows.append([
            name, f"{count:,}", str(made[0].net_calls), f"{spent:.2f}", f"{SECONDS / spent:.2f}",
            "PASS" if passed else "FAIL",
        ])  # fmt: skip
    report("sampling_time", HEAD, rows, figures)


if __name__ == "__main__":
    main()
