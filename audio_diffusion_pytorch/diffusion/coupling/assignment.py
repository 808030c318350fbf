"""The cheapest way to give each row of a square table a column of its own."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def assign(costs: Tensor) -> Tensor:
    """Return the column of each row `(n,)` int64, each used once, of least total cost.

    Exact and deterministic; computed on the CPU in float64, in `n^3` steps at most and far fewer on
    most tables.

    Args:
        costs: `(n, n)`, finite, of any sign.

    Raises:
        ValueError: If the table is not square or holds something that is not finite.

    Source: Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse
    linear assignment problems": column reduction, augmenting row reduction, augmentation.
    """
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1]:
        raise ValueError(f"assign needs a square table of costs, got shape {tuple(costs.shape)}")
    if not bool(costs.isfinite().all()):
        raise ValueError(
            "assign needs finite costs, got some that are not: look for NaN or infinity in the data"
        )
    table: Floats = costs.detach().cpu().double().numpy()
    solution = _Assignment(table)
    solution.reduce_columns()
    for _ in range(2):
        solution.reduce_rows()
    for row in np.flatnonzero(solution.column < 0):
        solution.augment(int(row))
    return torch.from_numpy(solution.column)


class _Assignment:
    """A partial assignment and prices of the columns under which it is the cheapest.

    At all times every assigned row has its column among those of least `cost - price`.
    """

    def __init__(self, table: Floats) -> None:
        self.table = table
        self.price: Floats = np.zeros(len(table))
        self.column: Integers = np.full(len(table), -1)  # of each row; -1 is none
        self.row: Integers = np.full(len(table), -1)  # of each column

    def reduce_columns(self) -> None:
        """Price each column at its cheapest row and let that row have it, first come."""
        if not len(self.table):
            return
        cheapest = self.table.argmin(0)
        self.price = self.table[cheapest, np.arange(len(cheapest))]
        for column, row in enumerate(cheapest):
            if self.column[row] < 0:
                self.column[row], self.row[column] = column, row

    def reduce_rows(self) -> None:
        """Let each free row bid: it outprices its best column to its second best."""
        waiting = list(np.flatnonzero(self.column < 0))[::-1]
        for _ in range(4 * len(self.table)):  # ties could go round for ever
            if not waiting or len(self.table) < 2:
                return
            row = waiting.pop()
            gap = self.table[row] - self.price
            first, second = gap.argpartition(1)[:2]
            raised = gap[second] - gap[first]
            if raised == 0 and self.row[first] >= 0:  # nothing to outbid with: take a free one
                equal = np.flatnonzero((gap == gap[first]) & (self.row < 0))
                if not len(equal):
                    continue
                first = equal[0]
            self.price[first] -= raised
            outbid = self.row[first]
            self.column[row], self.row[first] = first, row
            if outbid >= 0:
                self.column[outbid] = -1
                waiting.append(outbid)

    def augment(self, free: int) -> None:
        """Give a free row a column by the cheapest chain of rows that move on (Dijkstra)."""
        distance = self.table[free] - self.price
        best_open = distance.copy()  # infinite once a column is settled
        came_from = np.full(len(self.table), free)
        settled: list[int] = []
        while True:
            column = int(best_open.argmin())
            shortest, row = distance[column], self.row[column]
            best_open[column] = np.inf
            if row < 0:
                break
            settled.append(column)
            gap = self.table[row] - self.price
            through = gap + (shortest - gap[column])
            shorter = through < best_open  # never in a settled column...
            shorter[settled] = False  # ... whose infinity any number is below
            distance[shorter] = through[shorter]
            best_open[shorter] = through[shorter]
            came_from[shorter] = row
        self.price[settled] += distance[settled] - shortest
        while True:
            row = came_from[column]
            self.row[column] = row
            column, self.column[row] = self.column[row], column
            if row == free:
                return
