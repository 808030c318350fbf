"""Tiny encoders with random weights and a tokenizer of bytes: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import ByT5Tokenizer, T5Config, T5EncoderModel


@pytest.fixture
def tiny_t5():
    """Make a `(tokenizer, transformer)` of 32 features; the seed decides the weights."""

    def make(seed: int = 0) -> tuple[ByT5Tokenizer, T5EncoderModel]:
        torch.manual_seed(seed)
        config = T5Config(
            vocab_size=384, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.1
        )
        return ByT5Tokenizer(), T5EncoderModel(config)

    return make


@pytest.fixture
def t5_folder(tiny_t5, tmp_path: Path) -> str:
    """Save a tiny T5, to be loaded by name."""
    for part in tiny_t5():
        part.save_pretrained(tmp_path / "tiny-t5")
    return str(tmp_path / "tiny-t5")
