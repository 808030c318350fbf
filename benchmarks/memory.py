"""Measure the memory of a training step beyond weights, gradients and the optimizer's state.

python benchmarks/memory.py            the README's network: 217 M parameters
python benchmarks/memory.py --small    small ones, a quick look

Each figure comes from a process of its own, in which the weights, all gradients and both moments of
AdamW stand in memory before the step that is measured: what is counted is what the step takes on
top, at its worst moment. On a CPU this is the resident memory of the process (on Linux by the
kernel's own high-water mark, reset before the step), so what libraries take counts too; on CUDA it
is that of torch's allocator. Where 0.1.3 comes from is told in `sampling_speed.py`.
"""

from __future__ import annotations

from typing import Any

from _compare import brief, build
from _networks import Network, networks
from _results import median, report
from _sides import MEMORY, REFERENCE, Launcher, SideError, Variant, chosen, options_of

HEAD = ["network", "how", "beyond weights, gradients, AdamW", "of 0.1.3", "weights, ...", "spread"]
AIM = ("checkpointing", 0.5)
# Large blocks come from the system and go back to it: resident is then what is in use.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def measure(
    launcher: Launcher, network: Network, variant: Variant, device: str, rounds: int
) -> dict[str, Any]:
    """Return the peaks of one variant, each from a fresh process; or why there are none."""
    peaks = []
    for _ in range(rounds):
        side = launcher.start(variant.side, **ENVIRONMENT)
        try:
            refused = build({variant.side: side}, network, device, None)["refused"]
            if refused:
                return {"refused": refused[variant.side]}
            settings = variant._asdict()
            settings.pop("side")
            side.ask("view", **settings)
            found = side.ask("peak", view=variant.name, settle=variant.compiled)
        except SideError as error:
            return {"refused": str(error)}
        finally:
            side.close()
        peaks.append(found["bytes"])
    return {**found, "bytes": median(peaks), "all": peaks}


def rows_of(
    title: str, found: dict[str, dict[str, Any]], variants: list[Variant]
) -> list[list[str]]:
    """Return the lines of the table for one network."""
    lines = []
    reference = found.get(REFERENCE.name, {}).get("bytes")
    for number, variant in enumerate(variants):
        row, shown = found[variant.name], "" if number else title
        if "refused" in row:
            lines.append([shown, variant.name, "refused", "-", "-", brief(row["refused"])])
            continue
        lines.append([
            shown,
            variant.name,
            f"{row['bytes'] / 2**20:.1f} MiB",
            "-" if reference is None else f"{row['bytes'] / reference:.2f}",
            f"{row['kept'] / 2**20:.1f} MiB",
            f"{(max(row['all']) - min(row['all'])) / 2**20:.1f} MiB",
        ])  # fmt: skip
    return lines


def main() -> None:
    """Measure all networks on all devices and print the table."""
    options = options_of(__doc__.split("\n")[0], rounds=2)
    launcher = Launcher(options.upstream_python, options.alone)
    variants = chosen(MEMORY, launcher.names, options.variants)
    if options.small and options.variants is None:  # compiling takes minutes
        variants = [variant for variant in variants if not variant.compiled]
    figures: dict[str, Any] = {}
    table = []
    for device in options.device:
        figures[device] = {}
        for network in networks(options.small):
            words = options.networks
            if network.layers if words is None else not any(w in network.title for w in words):
                continue
            found = figures[device][network.title] = {
                variant.name: measure(launcher, network, variant, device, options.rounds)
                for variant in variants
            }
            table += rows_of(f"{network.title} ({device})", found, variants)
            pair = [found.get(name, {}).get("bytes") for name in (AIM[0], REFERENCE.name)]
            if not options.small and None not in pair:
                share = pair[0] / pair[1]
                verdict = "kept" if share <= AIM[1] else "MISSED"
                print(f"{AIM[0]}: {share:.2f} of 0.1.3, aim {AIM[1]:g}: {verdict}")
    report("memory" + "_small" * options.small, HEAD, table, figures)


if __name__ == "__main__":
    main()
