"""Score a run trained on the piano notes: 96 notes are asked for, heard and measured.

python examples/score_piano.py --run demo

64 of the notes are (pitch, velocity) pairs the run was trained on; the other 32 are the 16 pairs
held back, two draws each. The exit status is 1 if a row of the table fails. The table goes to
`score/score.json` and `score/score.html` in the run folder, the notes beside it.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import NamedTuple

import torch
from trained import Trained, add_sampling_flags, load_run, sampling_asked

from audio_diffusion_pytorch.data import AudioFolder
from audio_diffusion_pytorch.diagnostics import (
    MetricRow,
    Report,
    format_table,
    save_comparison,
    write_aside,
    write_report,
)
from audio_diffusion_pytorch.metrics import (
    cents,
    estimate_pitch,
    log_spectral_distance,
    midi_to_hz,
    nearest_neighbour,
    rms_db,
)
from audio_diffusion_pytorch.training import (
    RecipeParser,
    make_sounds,
    open_data,
    run_recipe,
    write_sounds,
)

TRAINED, HELD_BACK = 64, 32
VELOCITIES = ("pp", "mp", "mf", "ff")


def main() -> int:
    """Make the notes, measure them, print and save the table; returns 1 if a row fails."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", help="run folder or experiment (default: the newest run)")
    parser.add_argument("--runs", default="runs", help="where the runs are")
    parser.add_argument("--steps", type=int, help="default: the run's sample.steps")
    add_sampling_flags(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the start noise")
    options = parser.parse_args()
    trained = load_run(options.run, options.runs)
    settings, sampling = sampling_asked(trained, options)
    labels, wanted, data, held_back = notes_to_ask(trained)
    rate = data.sample_rate
    made = make_sounds(
        trained.model, len(labels), data.length, rate, options.steps or settings.steps,
        seed=options.seed, labels=labels, show_progress=sys.stderr.isatty(), **sampling._asdict(),
    )  # fmt: skip
    print(made.text())
    rows, figures, pitch = measure(trained, labels, made.audio[:, 0], wanted, data, held_back)
    folder = trained.run.directory / "score"
    names = [
        f"{i:02d}_{note}_{velocity}" + ("_held_back" if i >= TRAINED else "")
        for i, (note, velocity) in enumerate(words(trained, labels))
    ]
    write_sounds(folder, made, names=names, about={"run": trained.run.directory.name})
    write_aside(folder / "score.json", json.dumps(figures, indent=1) + "\n")
    report = Report("96 piano notes, asked for and measured", trained.run.directory.name)
    told = sentence(figures, len(held_back))
    report.paragraph(told)
    report.rows.extend(rows)
    for i in range(0, len(names), 8):
        heard = f"heard {float(pitch[i]):.1f} Hz"
        report.sound(names[i], made.audio[i], rate, note=heard, group="made by the model")
        report.sound(names[i], wanted[i : i + 1], rate, group="the real note")
    write_report(folder / "score.html", report, max_sounds=2 * len(names[::8]))
    shown = range(TRAINED + 4, TRAINED + HELD_BACK, 8)  # four held-back notes, low to high
    save_comparison(
        folder / "score.png",
        {
            "real": [wanted[i : i + 1] for i in shown],
            "made": [made.audio[i] for i in shown],
        },
        rate,
        ["note {} {}, held back".format(*words(trained, labels[i : i + 1])[0]) for i in shown],
    )
    print(format_table(rows))
    print(told)
    print(f"score: {folder}")
    return int(any(row.verdict == "fail" for row in rows))


class Asked(NamedTuple):
    """The notes to ask for, `labels (n, 2)`, and the real ones `(n, t)`; where they are from."""

    labels: torch.Tensor
    real: torch.Tensor
    data: AudioFolder
    held_back: AudioFolder


def notes_to_ask(trained: Trained) -> Asked:
    """Return the notes, trained pairs before held-back ones.

    Raises:
        ValueError: The run was not trained on labelled piano notes.
    """
    data, held_back = open_data(trained.config.data, trained.config.train.seed)
    if held_back is None or data.label_table.columns != ("note", "velocity"):
        raise ValueError(f"{trained.run.directory.name} was not trained on labelled piano notes")
    clips = [
        source[number * len(source) // count]
        for source, count in ((data, TRAINED), (held_back, HELD_BACK))
        for number in range(count)
    ]
    labels = torch.stack([clip.labels for clip in clips])
    return Asked(labels, torch.stack([clip.audio for clip in clips])[:, 0], data, held_back)


def pitch_right(pitch: torch.Tensor, notes: list[int]) -> torch.Tensor:
    """Return which pitches, Hz, are within 50 cents of the MIDI notes asked for."""
    return cents(pitch, midi_to_hz(torch.tensor(notes))).abs() <= 50


def words(trained: Trained, labels: torch.Tensor) -> list[tuple[int, str]]:
    """Return the MIDI note and the velocity of each row of labels."""
    decoded = [trained.labels.decode(row) for row in labels]
    return [(int(row["note"] or 0), str(row["velocity"])) for row in decoded]


def measure(
    trained: Trained,
    labels: torch.Tensor,
    made: torch.Tensor,
    wanted: torch.Tensor,
    data: AudioFolder,
    held_back: AudioFolder,
) -> tuple[list[MetricRow], dict[str, float], torch.Tensor]:
    """Return the table, its figures by name, and the pitch heard in each note."""
    rate = data.sample_rate
    pitch = estimate_pitch(made, rate).frequency
    right = pitch_right(pitch, [note for note, _ in words(trained, labels)])
    distance = log_spectral_distance(made, wanted)
    neighbours = neighbour_distance(trained, data, held_back)
    corpus = torch.cat([data[i].audio for i in range(len(data))])
    nearest, index = nearest_neighbour(made, corpus)
    same = [data[int(i)].labels[0] == row[0] for i, row in zip(index, labels, strict=True)]
    figures = {
        "pitch_right": 100 * float(right.float().mean()),
        "pitch_right_trained": 100 * float(right[:TRAINED].float().mean()),
        "pitch_right_held_back": 100 * float(right[TRAINED:].float().mean()),
        "spectral_distance": float(distance.mean()),
        "spectral_distance_held_back": float(distance[TRAINED:].mean()),
        "neighbour_distance": neighbours,
        "nearest_training_clip": float(nearest.mean()),
        "nearest_has_same_pitch": 100 * sum(map(float, same)) / len(same),
        "level": float(rms_db(made[:, None]).mean()),
        "level_real": float(rms_db(wanted[:, None]).mean()),
    }
    level = figures["level_real"]
    rows = [
        MetricRow.at_least("pitch within 50 cents", figures["pitch_right"], 90, "%"),
        MetricRow("  trained pairs", figures["pitch_right_trained"], unit="%"),
        MetricRow.at_least("  held-back pairs", figures["pitch_right_held_back"], 80, "%"),
        MetricRow("  by chance", 100 / 62, unit="%"),
        MetricRow.at_most(
            "spectral distance to the real note", figures["spectral_distance"],
            1.5 * neighbours, "dB",
        ),
        MetricRow("  held-back pairs", figures["spectral_distance_held_back"], unit="dB"),
        MetricRow("  between real neighbouring velocities", neighbours, unit="dB"),
        MetricRow("nearest training clip", figures["nearest_training_clip"], unit="dB"),
        MetricRow("  of the pitch asked for", figures["nearest_has_same_pitch"], unit="%"),
        MetricRow.within("level", figures["level"], level - 6, level + 6, "dBFS"),
        MetricRow("  of the real notes", level, unit="dBFS"),
    ]  # fmt: skip
    return rows, figures, pitch


def neighbour_distance(trained: Trained, data: AudioFolder, held_back: AudioFolder) -> float:
    """Return the mean distance between real notes of one pitch at neighbouring velocities, dB."""
    clips = [source[i] for source in (data, held_back) for i in range(len(source))]
    by_pair = {
        pair: clip.audio
        for pair, clip in zip(
            words(trained, torch.stack([clip.labels for clip in clips])), clips, strict=True
        )
    }
    pairs = [
        (by_pair[note, low], by_pair[note, high])
        for note in sorted({note for note, _ in by_pair})
        for low, high in pairwise(VELOCITIES)
        if (note, low) in by_pair and (note, high) in by_pair
    ]
    softer, louder = (torch.cat(side) for side in zip(*pairs, strict=True))
    return float(log_spectral_distance(softer, louder).mean())


def sentence(figures: dict[str, float], pairs: int) -> str:
    """Return the result in plain words; `pairs` are held back."""
    return (
        f"Of {TRAINED + HELD_BACK} notes, {figures['pitch_right']:.0f} % have the pitch asked for "
        f"within 50 cents ({figures['pitch_right_held_back']:.0f} % of {HELD_BACK} draws of the "
        f"{pairs} held-back pairs, never trained on); they are "
        f"{figures['spectral_distance']:.1f} dB from the real notes, which are "
        f"{figures['neighbour_distance']:.1f} dB from their own neighbours in velocity, and at "
        f"{figures['level']:.1f} dBFS where the real ones are at {figures['level_real']:.1f}."
    )


if __name__ == "__main__":
    sys.exit(run_recipe(main))
