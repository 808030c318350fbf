"""What the checks say, quoted in the docs: the page must say it in the same words.

`DOCTOR_QUOTES=write pytest tests/diagnostics` writes the quotes anew where their words changed.
"""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

from audio_diffusion_pytorch.diagnostics import Finding

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "it_plays_noise.md"
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|\b(?:nan|inf)\b")


def quoted(finding: Finding) -> str:
    """Return a finding as the page shows it: verdict, check and message, the remedy under it."""
    told = textwrap.fill(
        f"{finding.verdict}: {finding.check}: {finding.message}", 96, subsequent_indent="  "
    )
    remedy = textwrap.fill(finding.remedy, 96, initial_indent="  -> ", subsequent_indent="     ")
    return f"{told}\n{remedy}" if finding.remedy else told


def words_of(text: str) -> str:
    """Return a text without its numbers, which differ a little between machines."""
    return " ".join(NUMBER.sub("#", text).split())


def quoted_faults() -> list[str]:
    """Return the names of all faults that the page quotes, in its order."""
    return re.findall(r"<!-- said: (\w+) -->", PAGE.read_text(encoding="utf-8"))


def check_quote(fault: str, finding: Finding) -> None:
    """Hold the page's quote of a fault against what the check says now."""
    page = PAGE.read_text(encoding="utf-8")
    block = re.compile(rf"(<!-- said: {re.escape(fault)} -->\n```text\n)(.*?)(```)", re.S)
    found = block.search(page)
    if found is None:
        raise AssertionError(
            f"{PAGE.name} does not quote {fault!r}; where it belongs, put\n"
            f"<!-- said: {fault} -->\n```text\n{quoted(finding)}\n```"
        )
    if words_of(found[2]) == words_of(quoted(finding)):
        return
    if os.environ.get("DOCTOR_QUOTES") == "write":
        text = quoted(finding)
        PAGE.write_text(block.sub(lambda m: f"{m[1]}{text}\n{m[3]}", page), encoding="utf-8")
        return
    raise AssertionError(
        f"{PAGE.name} quotes {fault!r} in other words than the check says now: run "
        f"DOCTOR_QUOTES=write pytest tests/diagnostics; it says\n{quoted(finding)}"
    )
