"""Every code block of the README of release 0.1.3 runs against this package, as it stands there.

The page is upstream's and not kept here: `python tools/dev.py test` fetches it. The fast run puts
smaller numbers into the code (length, width, mel frames), nothing else; `-m slow` runs it as it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / ".venv" / "audio-diffusion-pytorch-0.1.3" / "README.md"

# What each block makes: the names of its model and of its result, and the shape that it says.
BLOCKS = {
    "Unconditional Generator": ("model", "sample", (1, 2, 2**18)),
    "Text-Conditional Generator": ("model", "sample", (1, 2, 2**18)),
    "Diffusion Upsampler": ("upsampler", "sample", (1, 2, 2**18)),
    "Diffusion Vocoder": ("vocoder", "sample", (1, 2, 2**18)),
    "Diffusion Autoencoder": ("autoencoder", "sample", (1, 2, 2**18)),
    "Inpainting": ("net", "y", (1, 2, 2**18)),
}
WIDTHS = "[8, 32, 64, 128, 256, 512, 512, 1024, 1024]"
SMALLER = {  # what the fast run replaces: 2^5 times shorter, and 8 channels at each level
    "2**18": "2**13",
    "2 ** 18": "2 ** 13",
    "2**14": "2**9",
    "1, 2, 80, 1024)": "1, 2, 80, 32)",
    f"channels={WIDTHS}": "channels=[8] * 9",
    "channels=512,": "channels=16,",
    "num_blocks=[12]": "num_blocks=[2]",
}


def page() -> str:
    """Return upstream's README; skip, or in continuous integration fail, where it is absent."""
    if PAGE.exists():
        return PAGE.read_text(encoding="utf-8")
    reason = "upstream's README is not here: `python tools/dev.py setup` fetches it"
    if os.environ.get("UPSTREAM_README_REQUIRED"):
        pytest.fail(reason)
    pytest.skip(reason)


def blocks() -> dict[str, str]:
    """Return the python blocks of the page by the heading above each."""
    headings = re.split(r"^###? (.+)$", page(), flags=re.M)
    found = {}
    for title, text in zip(headings[1::2], headings[2::2], strict=True):
        code = re.findall(r"^```py(?:thon)?\n(.*?)^```", text, flags=re.M | re.S)
        assert len(code) < 2, f"{title} holds {len(code)} blocks: tell them apart"
        if code:
            found[title] = code[0]
    return found


def with_the_unconditional_arguments(text_block: str, unconditional: str) -> str:
    """Return the text block with the arguments that a comment of it stands for."""
    arguments = re.search(r"DiffusionModel\(\n(.*?)^\)", unconditional, flags=re.M | re.S)[1]
    marker = r"^ *# \.\.\. same as unconditional model\n"
    filled, count = re.subn(marker, lambda _: arguments, text_block, flags=re.M)
    assert count == 1
    return filled


def save_tiny_t5(folder: Path) -> None:
    """Put a random T5 of one small layer, and a tokenizer of bytes, where `t5-base` is looked for.

    A name is a folder's before it is a hub's, so the code that asks for `t5-base` gets this one.
    """
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        vocab_size=384, d_model=768, d_kv=8, d_ff=16, num_layers=1, num_heads=2
    )
    transformers.T5EncoderModel(config).save_pretrained(folder)
    transformers.ByT5Tokenizer().save_pretrained(folder)


def run(title: str, reduced: bool, folder: Path) -> dict[str, Any]:
    """Run a block in a namespace of its own and return that."""
    code = blocks()[title]
    if title.startswith("Text"):
        save_tiny_t5(folder / "t5-base")
        code = with_the_unconditional_arguments(code, blocks()["Unconditional Generator"])
    for large, small in SMALLER.items() if reduced else ():
        code = code.replace(large, small)
    names: dict[str, Any] = {"torch": torch}  # the only name that the blocks take for granted
    exec(compile(code, f"README.md, {title}", "exec", dont_inherit=True), names)
    return names


def test_no_block_is_forgotten():
    assert set(blocks()) == set(BLOCKS)


def test_every_number_that_the_fast_run_replaces_is_on_the_page():
    missing = [large for large in SMALLER if large not in "".join(blocks().values())]
    assert not missing


FULL = pytest.param(False, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(3600)])


@pytest.mark.parametrize("reduced", [pytest.param(True, id="reduced"), FULL])
@pytest.mark.parametrize("title", BLOCKS)
def test_block_runs(title, reduced, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if title == "Diffusion Autoencoder":
        pytest.importorskip("audio_encoders_pytorch")
        pytest.importorskip("torchaudio")  # of its mel encoder
    names = run(title, reduced, tmp_path)
    model, result, shape = BLOCKS[title]
    length = 2**13 if reduced else 2**18
    made = names[result]
    assert made.shape == (*shape[:-1], length)
    assert made.isfinite().all() and made.std() > 1e-4  # two steps of an untrained net come to ~0
    if title == "Inpainting":
        return
    loss = names["loss"]
    assert loss.ndim == 0 and loss.isfinite()
    untrained = [name for name, weight in names[model].named_parameters() if weight.grad is None]
    assert not untrained, f"no gradient reached {untrained[:5]}"
