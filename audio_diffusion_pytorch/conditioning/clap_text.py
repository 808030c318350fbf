"""The text half of CLAP, which was trained beside sounds, as a text encoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .pretrained_text import PretrainedText


class ClapText(PretrainedText):
    """The words of a text as CLAP's text encoder sees them, or the text as one point.

    All else is said at `PretrainedText`.

    Args:
        model: Name or folder, or a ready `(tokenizer, ClapTextModel)`; for `pooled` a
            `ClapTextModelWithProjection`.
        max_length: Most tokens of a text, the marks of start and end included.
        pooled: Give one token for each text, the point near which CLAP puts sounds that fit the
            text, instead of one token for each word.
        embedding_features: Features of a token where that is known; else the model is asked.
        trainable: Make the transformer a part of this module, to be trained and saved.
        cache_size: How many texts to remember.

    Source: Wu et al. 2023, "Large-scale Contrastive Language-Audio Pretraining with Feature Fusion
    and Keyword-to-Caption Augmentation", arXiv 2211.06687.
    """

    def __init__(
        self,
        model: str | tuple[Any, Any] = "laion/clap-htsat-unfused",
        max_length: int = 77,
        *,
        pooled: bool = False,
        embedding_features: int | None = None,
        trainable: bool = False,
        cache_size: int = 1024,
    ) -> None:
        self.pooled = pooled
        super().__init__(
            model,
            max_length,
            embedding_features=embedding_features,
            trainable=trainable,
            cache_size=cache_size,
        )

    def load(self, name: str, *, local_files_only: bool) -> nn.Module:
        """Return the text half of the model of this name."""
        from transformers import ClapTextModel, ClapTextModelWithProjection

        kind = ClapTextModelWithProjection if self.pooled else ClapTextModel
        model: nn.Module = kind.from_pretrained(name, local_files_only=local_files_only)
        return model

    def width(self, config: Any) -> int:
        """Return the features of a token; the configuration may be that of the whole model."""
        config = getattr(config, "text_config", config)
        return int(config.projection_dim if self.pooled else config.hidden_size)

    def encode(self, transformer: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens `(b, n, f)` of `ids (b, n)`; `(b, 1, f)` if pooled."""
        answer = transformer(input_ids=ids, attention_mask=mask)
        tokens: Tensor = (
            answer["text_embeds"][:, None] if self.pooled else answer["last_hidden_state"]
        )
        return tokens
