"""Integer labels (pitch, instrument, speaker, ...) as conditioning."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NULL = -1


class ClassEmbedding(nn.Module):
    """Adds one or several integer labels an item to its modulation features.

    Every label column has a table with one row a class and one learned row for "unknown", which
    -1 selects. The rows are summed with the normalised features (usually those of the diffusion
    time) and pass a small MLP, so that the effect of a label may differ from time to time.

    In training mode each item loses all its labels with probability `dropout`, which teaches the
    unconditional model that classifier-free guidance needs (Ho and Salimans, 2022), and each
    column but the first loses its label with probability `column_dropout`, so that one may also
    generate with only the first ones known.

    Shapes: `features (b, f), labels (b,) or (b, k) int64 -> (b, f)`; None stands for all -1.

    Args:
        num_classes: Classes of each label column, `n` or `(n, m, ...)`.
        features: Modulation features `f`.
        dropout: Probability that an item loses all its labels in training mode, 0..1.
        column_dropout: Probability that a column but the first loses its label, 0..1.

    Raises:
        ValueError: if an argument is out of range; in forward, if labels have the wrong shape or
            type or are out of range.
    """

    def __init__(
        self,
        num_classes: int | Sequence[int],
        features: int,
        *,
        dropout: float = 0.1,
        column_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        counts = (num_classes,) if isinstance(num_classes, int) else tuple(num_classes)
        if not counts or min(counts) < 1:
            raise ValueError(f"num_classes must be one or more positive counts, got {num_classes}")
        for name, value in (("dropout", dropout), ("column_dropout", column_dropout)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be a probability in 0..1, got {value}")
        self.num_classes = counts
        self.dropout = dropout
        self.column_dropout = column_dropout
        self.tables = nn.ModuleList(nn.Embedding(count + 1, features) for count in counts)
        self.hidden = nn.Linear(features, features)
        self.out = nn.Linear(features, features)

    def forward(
        self,
        features: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        batch, device = features.shape[0], features.device
        if labels is None:
            labels = torch.full((batch, len(self.num_classes)), NULL, device=device)
        labels = self._checked(labels, batch)
        if self.training:
            labels = self._dropped(labels, generator)
        x = F.layer_norm(features, features.shape[-1:], eps=1e-8)
        for column, (table, count) in enumerate(zip(self.tables, self.num_classes, strict=True)):
            label = labels[:, column]
            x = x + table(torch.where(label == NULL, count, label))
        out: Tensor = features + self.out(F.silu(self.hidden(x)))
        return out

    def _checked(self, labels: Tensor, batch: int) -> Tensor:
        if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
            raise ValueError(f"labels must be integers (int64), got {labels.dtype}: use .long()")
        columns = len(self.num_classes)
        labels = labels.long()  # before any comparison: to uint8, -1 is 255
        labels = labels[:, None] if labels.ndim == 1 else labels
        if labels.shape != (batch, columns):
            raise ValueError(
                f"labels must have shape ({batch}, {columns}), one column for each of num_classes="
                f"{self.num_classes}, got {tuple(labels.shape)}: use -1 for unknown labels"
            )
        # The check reads values, which breaks a graph, and which meta tensors do not have.
        if not (labels.is_meta or torch.compiler.is_compiling()):
            limits = torch.tensor(self.num_classes, device=labels.device)
            bad = (labels < NULL) | (labels >= limits)
            if bool(bad.any()):
                item, column = (int(i) for i in bad.nonzero()[0])
                ranges = ", ".join(f"-1..{count - 1}" for count in self.num_classes)
                raise ValueError(
                    f"labels must lie in {ranges} (-1 for unknown), got {int(labels[item, column])}"
                    f" in column {column}: correct it or build the network with more num_classes"
                )
        return labels

    def _dropped(self, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        device = labels.device if generator is None else generator.device
        batch, columns = labels.shape
        draws = torch.rand(batch, 1 + columns, device=device, generator=generator)
        draws = draws.to(labels.device)
        drop = draws[:, 1:] < self.column_dropout
        drop[:, 0] = False  # the first column is lost with all others only
        drop = drop | (draws[:, :1] < self.dropout)
        return labels.masked_fill(drop, NULL)
