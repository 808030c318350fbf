"""What pretrained text encoders share: loaded when first used, kept out of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.serialization import Recorded

from .shared_parts import SharedParts
from .text_encoder import EncodedText, pad_tokens, warn_of_cuts


class PretrainedText(Recorded, nn.Module):
    """Base of the encoders of the transformers library; a subclass gives `load`, `width`, `encode`.

    The transformer is no part of the module: it is in neither `parameters()` nor `state_dict()`,
    it is loaded when the first text comes, one serves all deep copies, and a pickle holds its name
    alone. It works in its own precision, also under autocast, on the device of this module, and
    its answers come in the dtype of this module.

    Each text is encoded once, by itself, and remembered: its embedding depends neither on the rest
    of the batch nor on what came before, so that a resumed training repeats itself exactly.

    Args:
        model: Name or folder of a pretrained model, or a ready `(tokenizer, transformer)`.
        max_length: Most tokens of a text; longer ones are cut, with one warning.
        embedding_features: Features of a token where that is known; else the model is asked.
        trainable: Make the transformer a part of this module, so that it is trained and saved. It
            is loaded at once, nothing is remembered, and the texts of a batch go through together.
        attend_padding: Pad each text to `max_length` and let padding count as words, as
            audio-diffusion-pytorch 0.1 did: only for networks that were trained by that.
        cache_size: How many texts to remember, on the CPU, the last used ones; 0: none, and the
            texts of a batch go through together.

    Shapes: `b` texts -> `EncodedText`, embedding `(b, n, f)` and mask `(b, n)`; with
    `attend_padding` the mask is None.

    Raises:
        ValueError: If `max_length` is below 1 or `cache_size` below 0.
        ImportError: When the model is first needed, if the transformers library is missing.
        FileNotFoundError: Likewise, if the model is neither on this machine nor to be downloaded.
    """

    _place: Tensor

    def __init__(
        self,
        model: str | tuple[Any, Any],
        max_length: int = 64,
        *,
        embedding_features: int | None = None,
        trainable: bool = False,
        attend_padding: bool = False,
        cache_size: int = 1024,
    ) -> None:
        super().__init__()
        if max_length < 1 or cache_size < 0:
            raise ValueError(
                "max_length must be at least 1 and cache_size at least 0, got "
                f"{max_length} and {cache_size}: pass for instance 64 and 1024"
            )
        tokenizer, transformer = (None, None) if isinstance(model, str) else model
        self.name = model if isinstance(model, str) else type(transformer).__name__
        self.max_length, self.attend_padding = max_length, attend_padding
        self.trainable = trainable
        self.cache_size = 0 if trainable else cache_size
        self._features = embedding_features
        # Follows the device and the dtype of the network that this encoder is a part of.
        self.register_buffer("_place", torch.empty(0), persistent=False)
        self._shared = SharedParts(tokenizer, None if trainable else transformer)
        self.transformer: nn.Module | None = None
        if trainable:
            self.transformer = transformer or fetch(self.load, self.name)
            self.register_state_dict_post_hook(_leave_twins_out)  # type: ignore[no-untyped-call]
            self.register_load_state_dict_pre_hook(_bring_twins_back)  # type: ignore[no-untyped-call]

    def load(self, name: str, *, local_files_only: bool) -> nn.Module:
        """Return the transformer of this name."""
        raise NotImplementedError

    def width(self, config: Any) -> int:
        """Return the features of a token of a transformer with this configuration."""
        raise NotImplementedError

    def encode(self, transformer: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens `(b, n, f)` of `ids (b, n)`, or `(b, 1, f)` for each text as one."""
        raise NotImplementedError

    @property
    def embedding_features(self) -> int:
        """Features of a token; where they are not known yet, the configuration is read."""
        if self._features is None:
            known = self.transformer or self._shared.transformer
            config = fetch(_load_config, self.name) if known is None else known.config
            self._features = self.width(config)
        return self._features

    def forward(self, texts: Sequence[str]) -> EncodedText:
        texts = list(texts)
        if self.trainable:
            embedding, mask = self._encode_together(texts)
        else:
            with torch.no_grad(), torch.autocast(self._device().type, enabled=False):
                remembering = self.cache_size > 0
                encode = self._encode_singly if remembering else self._encode_together
                embedding, mask = encode(texts)
        embedding, mask = embedding.to(self._place), mask.to(self._place.device)
        return EncodedText(embedding, None if self.attend_padding else mask)

    def _encode_singly(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        pieces = []
        for text in texts:
            tokens = self._shared.recall(text)
            if tokens is None:
                tokens = self._encode_together([text])[0][0]
                self._shared.remember(text, tokens, self.cache_size)
            pieces.append(tokens.to(self._device()))
        return pad_tokens(pieces)

    def _encode_together(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        tokenizer, transformer = self._parts()
        if not self._shared.warned:
            lengths = [len(ids) for ids in tokenizer(texts, verbose=False)["input_ids"]]
            self._shared.warned = warn_of_cuts(lengths, self.max_length)
        tokens = tokenizer(
            texts,
            truncation=True,
            max_length=self.max_length,
            padding="max_length" if self.attend_padding else "longest",
            return_tensors="pt",
        )
        device = self._device()
        ids, mask = tokens["input_ids"].to(device), tokens["attention_mask"].to(device)
        embedding = self.encode(transformer, ids, mask)
        # An encoder that makes one token of each text has no padding.
        whole = embedding.shape[1] != ids.shape[1]
        return embedding, mask.new_ones(embedding.shape[:2]).bool() if whole else mask.bool()

    def _parts(self) -> tuple[Any, nn.Module]:
        """Return the tokenizer and the transformer, loaded if need be, on the right device."""
        shared = self._shared
        if shared.tokenizer is None:
            shared.tokenizer = fetch(_load_tokenizer, self.name)
        if self.transformer is not None:
            return shared.tokenizer, self.transformer
        if shared.transformer is None:
            shared.transformer = fetch(self.load, self.name).requires_grad_(False)
        device = self._device()
        if any(weight.device != device for weight in shared.transformer.parameters()):
            shared.transformer.to(device)
        return shared.tokenizer, shared.transformer.eval()

    def _device(self) -> torch.device:
        # On the meta device nothing can be encoded, and moving there would lose the weights.
        return torch.device("cpu") if self._place.is_meta else self._place.device

    def extra_repr(self) -> str:
        return f"{self.name!r}, max_length={self.max_length}, trainable={self.trainable}"


def fetch(load: Callable[..., Any], name: str) -> Any:
    """Return what `load(name, local_files_only=)` gives: from this machine, else from the hub.

    The name may come from a file of a stranger's: loaders run no code that lies beside a model.

    Raises:
        FileNotFoundError: If neither has it.
        ImportError: If the transformers library is missing.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "pretrained text encoders need the transformers library, which is missing: "
            'pip install "audio-diffusion-pytorch[text]"'
        ) from error
    try:
        return load(name, local_files_only=True)
    except (OSError, ValueError):
        pass  # with the hub in reach it may be had, or the message is a better one
    try:
        return load(name, local_files_only=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise FileNotFoundError(
            f"the text encoder {name!r} is neither a folder or a downloaded model of this machine "
            f"nor to be had from the Hugging Face hub: correct the name, or go online once "
            f"({type(error).__name__}: {reason})"
        ) from error


def _load_config(name: str, *, local_files_only: bool) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(
        name, local_files_only=local_files_only, trust_remote_code=False
    )


def _load_tokenizer(name: str, *, local_files_only: bool) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        name, local_files_only=local_files_only, trust_remote_code=False
    )


def _twins(module: nn.Module, prefix: str) -> dict[str, str]:
    """Map the names of weights that share another's storage to the name of that other."""
    firsts: dict[int, str] = {}
    twins = {}
    for name, weight in module.named_parameters(remove_duplicate=False):
        first = firsts.setdefault(id(weight), name)
        if first != name:
            twins[prefix + name] = prefix + first
    return twins


def _leave_twins_out(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Leave weights that a transformer has under a second name out: savers refuse them."""
    for twin in _twins(module, prefix):
        state.pop(twin, None)


def _bring_twins_back(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for twin, first in _twins(module, prefix).items():
        if first in state:
            state.setdefault(twin, state[first])
