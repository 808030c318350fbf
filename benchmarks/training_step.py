"""Time a training step against audio-diffusion-pytorch 0.1.3: same weights, same audio, in turns.

python benchmarks/training_step.py            the README's network: 217 M parameters, minutes
python benchmarks/training_step.py --small    small ones, a quick look

A step is `model(audio)`, the backward pass and AdamW, the same `torch.optim.AdamW` on both sides.
Where 0.1.3 comes from is told in `sampling_speed.py`.
"""

from __future__ import annotations

from typing import Any

from _compare import HEAD, compare, explain, rows_of, verdicts
from _floor import text_of_seconds
from _networks import networks
from _results import report
from _sides import REFERENCE, TRAINING, Launcher, chosen, options_of

SMALL = (REFERENCE.name, "eager", "autocast bf16", "checkpointing")
AIMS = {"time": [("eager or compiled", 0.7)], "above floor": [("eager or compiled", 0.5)]}


def main() -> None:
    """Measure all networks on all devices and print the table."""
    options = options_of(__doc__.split("\n")[0], rounds=5)
    launcher = Launcher(options.upstream_python, options.alone)
    sides = {name: launcher.start(name) for name in launcher.names}
    figures: dict[str, Any] = {"sides": {name: side.ask("about") for name, side in sides.items()}}
    variants = chosen(TRAINING, launcher.names, options.variants)
    if options.small and options.variants is None:  # compiling takes minutes
        variants = [variant for variant in variants if variant.name in SMALL]
    table = []
    for device in options.device:
        figures[device] = {}
        for network in networks(options.small):
            words = options.networks
            if network.layers if words is None else not any(w in network.title for w in words):
                continue
            one = compare(sides, network, variants, device, options.rounds, "train")
            figures[device][network.title] = one
            explain(f"{network.title} ({device})", one)
            for name, row in one["variants"].items():
                if device == "cpu" and "parts" in row:  # on CUDA only their sum is known
                    parts = (f"{part} {text_of_seconds(s)}" for part, s in row["parts"].items())
                    print(f"{name}: {', '.join(parts)}")
            table += rows_of(f"{network.title} ({device})", one, variants)
            for line in [] if options.small or network.layers else verdicts(one, AIMS):
                print(line)
    for side in sides.values():
        side.close()
    report("training_step" + "_small" * options.small, HEAD, table, figures)


if __name__ == "__main__":
    main()
