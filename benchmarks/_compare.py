"""Both sides on one network: built with the same weights, timed in turns, and set in a table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from _floor import Floor, text_of_flops, text_of_seconds
from _networks import Network
from _results import median
from _sides import REFERENCE, Side, SideError, Variant

HEAD = ["network", "how", "time", "of 0.1.3", "x floor", "above floor, of 0.1.3's", "differs by"]
FORMATS = ("fp32", "bf16")
Sides = Mapping[str, Side]
Figures = dict[str, Any]


def in_turns(calls: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Make every call once a round, forwards and backwards by turns; return what they return."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls) if number % 2 == 0 else list(calls)[::-1]:
            found[name].append(calls[name]())
    return found


def build(sides: Sides, network: Network, device: str, weights: str | None) -> Figures:
    """Build the network on every side, the first making the weights; say who could not."""
    figures: Figures = {"shape": network.shape, "refused": {}}
    make = True
    for name, side in sides.items():
        try:
            built = side.ask(
                "build", network=network._asdict(), weights=weights, make=make, device=device
            )
        except SideError as error:
            figures["refused"][name] = str(error)
            continue
        figures["parameters"], make = built["parameters"], False
    return figures


def warm_up(
    sides: Sides, variants: Sequence[Variant], refused: Mapping[str, str], do: str, **arguments: Any
) -> dict[str, Figures]:
    """Make every variant run twice (the first call may compile); keep why one does not."""
    rows: dict[str, Figures] = {}
    for variant in variants:
        if variant.side in refused:
            rows[variant.name] = {"refused": refused[variant.side]}
            continue
        settings = variant._asdict()
        side = sides[settings.pop("side")]
        try:
            side.ask("view", **settings)
            first = side.ask(do, view=variant.name, **arguments)["seconds"]
            side.ask(do, view=variant.name, **arguments)
            rows[variant.name] = {"first": first}
        except SideError as error:
            print(f"{variant.name}: {error}")
            if side.process.poll() is not None:
                raise SystemExit(f"{error}: see its message above") from error
            rows[variant.name] = {"refused": str(error)}
    return rows


def differences(sides: Sides, variants: Sequence[Variant], folder: str) -> dict[str, float]:
    """Return the RMS by which outputs differ from those of the first, over the RMS of these."""
    reference, found = None, {}
    for variant in variants:
        path = f"{folder}/output.pt"
        sides[variant.side].ask("output", view=variant.name, path=path)
        output = torch.load(path)
        if reference is None:
            reference = output
        else:
            found[variant.name] = float((output - reference).norm() / reference.norm())
    return found


def compare(
    sides: Sides,
    network: Network,
    variants: Sequence[Variant],
    device: str,
    rounds: int,
    do: str,
    **arguments: Any,
) -> Figures:
    """Time all variants of both sides in turns, with products of matrices between them."""
    with tempfile.TemporaryDirectory() as folder:
        figures = build(sides, network, device, f"{folder}/weights.pt")
        rows = warm_up(sides, variants, figures["refused"], do, **arguments)
        running = [variant for variant in variants if "refused" not in rows[variant.name]]
        for name, value in differences(sides, running, folder).items():
            rows[name]["difference"] = value
    parts: dict[str, list[dict[str, float]]] = {}

    def call(variant: Variant) -> float:
        answer = sides[variant.side].ask(do, view=variant.name, **arguments)
        if "parts" in answer:
            parts.setdefault(variant.name, []).append(answer["parts"])
        return float(answer["seconds"])

    def rate(of: str, precision: str) -> float:
        return float(sides["ours"].ask("rate", of=of, precision=precision)["rate"])

    calls = {variant.name: partial(call, variant) for variant in running}
    kinds = [(of, precision) for precision in FORMATS for of in ("product", "convolution")]
    calls |= {" ".join(kind): partial(rate, *kind) for kind in kinds}
    times = in_turns(calls, rounds)
    for variant in running:
        values = times[variant.name]
        row = rows[variant.name]
        row |= {"seconds": median(values), "fastest": min(values), "all": values}
        if variant.name in parts:
            made = parts[variant.name]
            row["parts"] = {part: median([one[part] for one in made]) for part in made[0]}
    figures["rates"] = {" ".join(kind): median(times[" ".join(kind)]) for kind in kinds}
    task = "train" if do == "train" else "call"
    built = [name for name in sides if name not in figures["refused"]]
    figures["flops"] = {name: sides[name].ask("flops", task=task)["flops"] for name in built}
    figures["variants"] = rows
    return figures


def floor_of(figures: Figures) -> Floor:
    """Return the floor of a network: the work as ours counts it, at the faster rate."""
    flops, rates = figures["flops"], figures["rates"]
    work = flops.get("ours") or next(iter(flops.values()))
    return Floor(work, {f: max(rates[f"product {f}"], rates[f"convolution {f}"]) for f in FORMATS})


def rows_of(title: str, figures: Figures, variants: Sequence[Variant]) -> list[list[str]]:
    """Return the lines of the table for one network."""
    lines, found = [], figures["variants"]
    floor = floor_of(figures) if figures["flops"] else None
    reference = found.get(REFERENCE.name, {}).get("seconds")
    for number, variant in enumerate(variants):
        row, shown = found[variant.name], "" if number else title
        if "refused" in row or floor is None:
            lines.append([shown, variant.name, "refused", *["-"] * 3, brief(row["refused"])])
            continue
        seconds = row["seconds"]
        share = None if reference is None else floor.share(seconds, variant.precision, reference)
        lines.append([
            shown,
            variant.name,
            text_of_seconds(seconds),
            "-" if reference is None else f"{seconds / reference:.2f}",
            f"{floor.times(seconds, variant.precision):.2f}",
            "-" if share is None else f"{share:.2f}",
            f"{row['difference']:.1e}" if "difference" in row else "-",
        ])  # fmt: skip
    return lines


def brief(reason: str, limit: int = 60) -> str:
    """Return a reason short enough for a cell, and without what would end the cell."""
    reason = reason.replace("|", "/")
    return reason if len(reason) <= limit else f"{reason[: limit - 3]}..."


def explain(title: str, figures: Figures) -> None:
    """Print the arithmetic of one network."""
    if not figures["flops"]:
        return
    floor, counts = floor_of(figures), figures["flops"]
    others = f" ({text_of_flops(counts['upstream'])} in 0.1.3)" if "upstream" in counts else ""
    rates = {kind: text_of_flops(rate, "FLOP/s") for kind, rate in figures["rates"].items()}
    print(
        f"{title}: {figures['parameters']:,} parameters, input {tuple(figures['shape'])}, "
        f"{text_of_flops(floor.flops)}{others}\n"
        + "".join(
            f"  {f}: products of matrices run at {rates[f'product {f}']}, convolutions at "
            f"{rates[f'convolution {f}']}: the floor is {text_of_seconds(floor.seconds(f))}\n"
            for f in FORMATS
        ),
        end="",
    )


def verdicts(figures: Figures, aims: Mapping[str, Sequence[tuple[str, float]]]) -> list[str]:
    """Return a line for each aim, "NAME OF 0.1.3: figure (at most ...)", kept or missed.

    `aims` maps "time" and "above floor" to pairs of variants and limits; a variant written `a or b`
    stands for the faster of them.
    """
    found, lines = figures["variants"], []
    reference = found.get(REFERENCE.name, {}).get("seconds")
    if reference is None:
        return []
    floor = floor_of(figures)
    formats = {row: "fp32" if "bf16" not in row else "bf16" for row in found}
    for what, pairs in aims.items():
        for names, limit in pairs:
            ran = [n for n in names.split(" or ") if "seconds" in found.get(n, {})]
            if not ran:
                continue
            name = min(ran, key=lambda n: float(found[n]["seconds"]))
            value: float | None = found[name]["seconds"] / reference
            if what == "above floor":
                value = floor.share(found[name]["seconds"], formats[name], reference)
            if value is None:
                continue
            verdict = "kept" if value <= limit else "MISSED"
            lines.append(f"{what}, {name}: {value:.2f} of 0.1.3, aim {limit:g}: {verdict}")
    return lines
