"""What copies of one text encoder share, outside the tree of modules."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor


class SharedParts:
    """A tokenizer and a transformer that deep copies share, and embeddings they remember.

    A pickle holds the two only if they were given ready-made: what has a name is loaded again.

    Args:
        tokenizer: A ready tokenizer, or None if it is to be loaded by name.
        transformer: Likewise.
    """

    def __init__(self, tokenizer: Any, transformer: Any) -> None:
        self.given = tokenizer is not None
        self.tokenizer, self.transformer = tokenizer, transformer
        self.embeddings: OrderedDict[str, Tensor] = OrderedDict()  # the last used text is last
        self.warned = False  # of texts that were cut

    def recall(self, text: str) -> Tensor | None:
        """Return the remembered tokens `(n, f)` of a text, if any."""
        if text in self.embeddings:
            self.embeddings.move_to_end(text)
        return self.embeddings.get(text)

    def remember(self, text: str, embedding: Tensor, most: int) -> None:
        """Keep the tokens `(n, f)` of a text on the CPU, of at most `most` texts."""
        self.embeddings[text] = embedding.cpu()
        while len(self.embeddings) > most:
            self.embeddings.popitem(last=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedParts:
        del memo
        return self

    def __getstate__(self) -> dict[str, Any]:
        emptied: dict[str, Any] = {"embeddings": OrderedDict()}
        if not self.given:
            emptied |= {"tokenizer": None, "transformer": None}
        return {**self.__dict__, **emptied}
