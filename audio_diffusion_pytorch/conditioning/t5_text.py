"""T5 and its kin, such as ByT5 and Flan-T5, as text encoders."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .pretrained_text import PretrainedText

# So that a network can be built without asking the hub.
_WIDTHS = {"t5-small": 512, "t5-base": 768, "t5-large": 1024, "t5-3b": 1024, "t5-11b": 1024}


class T5Text(PretrainedText):
    """The encoder of a T5, Flan-T5, ByT5, ... model; all else is said at `PretrainedText`.

    Args:
        model: Name or folder, or a ready `(tokenizer, T5EncoderModel)`.
        max_length: Most tokens of a text, the end mark included.
        embedding_features: Features of a token where that is known; else the model is asked.
        trainable: Make the transformer a part of this module, to be trained and saved.
        attend_padding: Let padding count as words, as audio-diffusion-pytorch 0.1 did.
        cache_size: How many texts to remember.

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified
    Text-to-Text Transformer", arXiv 1910.10683; as a condition of diffusion: Saharia et al. 2022,
    arXiv 2205.11487.
    """

    def __init__(
        self,
        model: str | tuple[Any, Any] = "t5-base",
        max_length: int = 64,
        *,
        embedding_features: int | None = None,
        trainable: bool = False,
        attend_padding: bool = False,
        cache_size: int = 1024,
    ) -> None:
        if embedding_features is None and isinstance(model, str):
            embedding_features = _WIDTHS.get(model.removeprefix("google-t5/"))
        super().__init__(
            model,
            max_length,
            embedding_features=embedding_features,
            trainable=trainable,
            attend_padding=attend_padding,
            cache_size=cache_size,
        )

    def load(self, name: str, *, local_files_only: bool) -> nn.Module:
        """Return the encoder half of the model of this name."""
        from transformers import T5EncoderModel

        model: nn.Module = T5EncoderModel.from_pretrained(name, local_files_only=local_files_only)
        return model

    def width(self, config: Any) -> int:
        """Return the features of a token."""
        return int(config.d_model)

    def encode(self, transformer: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens `(b, n, f)` of `ids (b, n)`."""
        tokens: Tensor = transformer(input_ids=ids, attention_mask=mask)["last_hidden_state"]
        return tokens
