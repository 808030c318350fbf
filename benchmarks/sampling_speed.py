"""Time a sampler's step against audio-diffusion-pytorch 0.1.3: same weights, same noise, in turns.

python benchmarks/sampling_speed.py            the README's networks: 217 M parameters, minutes
python benchmarks/sampling_speed.py --small    small ones, a quick look
python benchmarks/sampling_speed.py --upstream-python PATH

The old release runs in a process of its own: by PATH, the Python of a virtual environment that has
it, or else by this Python on a copy that pip puts into a cache folder. Without either, only ours
is timed. A step is `model.sample` over its number of steps: network and sampler together.
"""

from __future__ import annotations

from typing import Any

from _compare import HEAD, compare, explain, floor_of, rows_of, verdicts
from _networks import networks
from _results import amx, report
from _sides import REFERENCE, SAMPLING, Launcher, chosen, options_of

FEW = (REFERENCE.name, "eager", "compiled", "compiled, autocast bf16", "compiled, bf16 weights")
SMALL = (REFERENCE.name, "eager", "autocast bf16", "bf16 weights")  # to compile takes a minute
BF16 = "autocast bf16 or bf16 weights or compiled, autocast bf16 or compiled, bf16 weights"
AIMS = {
    "cpu": {
        "time": [("eager", 0.75), ("compiled", 0.6), *([(BF16, 0.3)] if amx() else [])],
        "above floor": [("eager", 0.5), ("compiled", 0.5)],
    },
    "cuda": {"time": [("compiled, autocast bf16 or compiled, bf16 weights", 0.25)]},
}


def layers(found: dict[str, Any], plain: str, titles: list[str]) -> list[str]:
    """Say what layers over the plain network cost beside what they compute."""
    lines = []
    for title in titles:
        pair = [found.get(name, {}) for name in (title, plain)]
        if not all(one.get("flops") for one in pair):
            continue
        work = floor_of(pair[0]).flops / floor_of(pair[1]).flops
        rows = [one["variants"] for one in pair]
        shares = [
            f"{name} {rows[0][name]['seconds'] / rows[1][name]['seconds']:.2f}"
            for name in FEW
            if all("seconds" in row.get(name, {}) for row in rows)
        ]
        lines.append(f"{title}, over the plain network: work {work:.2f}, time {', '.join(shares)}")
    return lines


def main() -> None:
    """Measure all networks on all devices and print the table."""
    options = options_of(__doc__.split("\n")[0], rounds=5)
    launcher = Launcher(options.upstream_python, options.alone)
    sides = {name: launcher.start(name) for name in launcher.names}
    figures: dict[str, Any] = {"sides": {name: side.ask("about") for name, side in sides.items()}}
    wanted = networks(options.small)
    table = []
    for device in options.device:
        found = figures[device] = {}
        for network in wanted:
            if options.networks and not any(word in network.title for word in options.networks):
                continue
            variants = chosen(SAMPLING, launcher.names, options.variants)
            if options.variants is None and network is not wanted[0]:
                few = SMALL if options.small else FEW
                variants = [variant for variant in variants if variant.name in few]
            steps = 4 if options.small or device == "cuda" else 2
            one = compare(sides, network, variants, device, options.rounds, "sample", steps=steps)
            built = [name for name in sides if name not in one["refused"]]
            one["copies"] = {name: sides[name].ask("copies", steps=steps) for name in built}
            found[network.title] = one
            explain(f"{network.title} ({device})", one)
            copied = {name: value["bytes"] / 1e6 for name, value in one["copies"].items()}
            print("copied by a step: " + ", ".join(f"{k} {v:.1f} MB" for k, v in copied.items()))
            table += rows_of(f"{network.title} ({device})", one, variants)
        plain = wanted[0].title
        for line in layers(found, plain, [n.title for n in wanted if n.layers]):
            print(line)
        for line in verdicts(found[plain], AIMS[device]) if plain in found else []:
            if not options.small:
                print(line)
    for side in sides.values():
        side.close()
    report("sampling_speed" + "_small" * options.small, HEAD, table, figures)


if __name__ == "__main__":
    main()
