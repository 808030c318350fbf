"""Labels as words or numbers, and the class indices a network is trained on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def canonical(value: object) -> str | None:
    """A label value as text; numbers keep their meaning; None when absent.

    >>> canonical("069"), canonical(69), canonical("60.0"), canonical(" ff "), canonical("")
    ('69', '69', '60', 'ff', None)
    """
    if value is None:
        return None
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        return text or None
    if "." in text:
        number = float(text)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(int(text))


@dataclass(frozen=True)
class LabelTable:
    """Columns of labels and the values each may take; a value's place is its class index.

    >>> table = LabelTable.from_values({"note": ["069", "60"], "velocity": ["pp", "ff"]})
    >>> table.vocabularies
    (('60', '69'), ('ff', 'pp'))
    >>> table.encode({"note": 69, "velocity": "ff"})
    tensor([1, 0])
    >>> table.parse("60")
    tensor([ 0, -1])

    Attributes:
        columns: names, in the order of the encoded labels.
        vocabularies: for each column its values as text.
    """

    columns: tuple[str, ...] = ()
    vocabularies: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.vocabularies):
            raise ValueError(
                f"each label column needs a vocabulary, got {len(self.columns)} columns "
                f"and {len(self.vocabularies)} vocabularies"
            )

    @classmethod
    def from_values(cls, values: Mapping[str, Iterable[object]]) -> LabelTable:
        """A table from all values seen in each column.

        Sorted as numbers where all are numbers, else by the alphabet.

        Raises: ValueError for a column without any value.
        """
        vocabularies = []
        for name, column in values.items():
            seen = {text for text in map(canonical, column) if text is not None}
            if not seen:
                raise ValueError(
                    f"the label column {name} is empty for every sound: fill it in, or choose "
                    "other columns by data.label_columns"
                )
            numeric = all(_NUMBER.fullmatch(text) for text in seen)
            vocabularies.append(tuple(sorted(seen, key=float) if numeric else sorted(seen)))
        return cls(tuple(values), tuple(vocabularies))

    @property
    def num_classes(self) -> tuple[int, ...]:
        """Number of values of each column."""
        return tuple(len(vocabulary) for vocabulary in self.vocabularies)

    def encode(self, values: Mapping[str, object]) -> Tensor:
        """Class indices `(k,)` int64; -1 where a column is absent, None or empty.

        Raises: ValueError for an unknown column or value; it tells the nearest known ones.
        """
        unknown = [name for name in values if name not in self.columns]
        if unknown:
            raise ValueError(
                f"there is no label column {unknown[0]!r}, only {', '.join(self.columns) or 'none'}"
            )
        pairs = zip(self.columns, self.vocabularies, strict=True)
        return torch.tensor(
            [self._index(name, words, values.get(name)) for name, words in pairs],
            dtype=torch.int64,
        )

    def parse(self, text: str) -> Tensor:
        """Class indices of values in column order joined by `:`, as in `69:ff`, `69` or `:ff`."""
        parts = text.split(":")
        if len(parts) > len(self.columns):
            raise ValueError(
                f"label {text!r} has {len(parts)} values, the columns are {':'.join(self.columns)}"
            )
        return self.encode(dict(zip(self.columns, parts, strict=False)))

    def decode(self, labels: Tensor) -> dict[str, str | None]:
        """The values behind class indices `(k,)`; None for -1."""
        rows = zip(self.columns, self.vocabularies, labels.tolist(), strict=True)
        return {name: words[index] if index >= 0 else None for name, words, index in rows}

    def to_dict(self) -> dict[str, list[str]]:
        """Column name to values: plain JSON, for checkpoints."""
        pairs = zip(self.columns, self.vocabularies, strict=True)
        return {name: list(words) for name, words in pairs}

    @classmethod
    def from_dict(cls, table: Mapping[str, Sequence[Any]]) -> LabelTable:
        """The table `to_dict` was made from; the given order of values is kept."""
        words = tuple(
            tuple(text for text in map(canonical, column) if text is not None)
            for column in table.values()
        )
        return cls(tuple(table), words)

    def _index(self, column: str, words: tuple[str, ...], value: object) -> int:
        text = canonical(value)
        if text is None:
            return -1
        if text in words:
            return words.index(text)
        near = ", ".join(_nearest(text, words)) or "none"
        raise ValueError(f"{column} {text!r} is not among the known labels, the nearest are {near}")


def _nearest(text: str, words: Sequence[str]) -> list[str]:
    if _NUMBER.fullmatch(text) and all(_NUMBER.fullmatch(word) for word in words):
        nearest = sorted(words, key=lambda word: abs(float(word) - float(text)))[:3]
        return sorted(nearest, key=float)
    return difflib.get_close_matches(text, words, n=3, cutoff=0.4) or list(words[:3])
