"""What sounds are asked for on a command line: labels or words, cycled over them."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import torch

from audio_diffusion_pytorch.data import LabelTable


def conditions_asked(table: LabelTable, options: Namespace) -> dict[str, Any]:
    """Return the labels or texts of `options.num` sounds, as `make_sounds` takes them.

    Without any, a run with labels makes the first class; `options.label` says so afterwards.

    Args:
        table: The labels of the run.
        options: With `num`, `label` (a list) and `text` (a list or None).

    Raises:
        ValueError: Labels for a run that has none, or both labels and texts.
    """
    if options.text and options.label:
        raise ValueError("a run is told labels or text, got both: leave --label or --text out")
    if options.text:
        return {"text": [options.text[i % len(options.text)] for i in range(options.num)]}
    if not table.columns:
        if options.label:
            raise ValueError("the run has no labels: leave --label out")
        return {}
    options.label = options.label or [":".join(words[0] for words in table.vocabularies)]
    rows = [table.parse(text) for text in options.label]
    return {"labels": torch.stack([rows[i % len(rows)] for i in range(options.num)])}
