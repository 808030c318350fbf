"""Settings: defaults < file < key=value, typed, and every mistake told in one line."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional, Union

import pytest

from audio_diffusion_pytorch.training.config import (
    ConfigError,
    config_text,
    config_to_dict,
    load_config,
    save_config,
)


@dataclass(frozen=True)
class Data:
    """The sounds.

    Attributes:
        path: where the recordings lie,
            searched recursively.
        split: the shares of the parts.
    """

    path: Path = Path("data")
    sample_rate: int = 16000
    split: tuple[float, float] = (0.9, 0.1)
    names: list[str] = field(default_factory=list)
    Offset: int = 0  # a key that is not lower case


@dataclass
class Train:
    learning_rate: float = field(default=1e-4, metadata={"help": "the peak rate"})
    max_steps: int = 100
    max_minutes: Optional[float] = None  # noqa: UP045
    use_ema: bool = True
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    bits: Literal[16, 24] = 16
    factors: tuple[int, ...] = (1, 4)
    note: str = ""
    seed: Union[int, str] = 0  # noqa: UP007
    log: str | None = None

    def __post_init__(self) -> None:
        if self.max_steps < 0:
            raise ValueError(f"max_steps must not be negative, got {self.max_steps}")


@dataclass(frozen=True)
class Config:
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    name: str = "demo"


@dataclass(frozen=True)
class Needed:
    folder: Path
    inner: Data = field(default_factory=lambda: Data(sample_rate=8000))


INI = """\
; made by hand
name = my run
[data]
path = /somewhere/Größe und Maß   ; where they lie
sample_rate: 8000  # Hz
Offset = 3
[train]
learning_rate = 2e-4
max_minutes = none
use_ema = no
factors = 1, 2,
    4
note = "a ; b # c"
"""
JSON = """{"name": "my run",
 "data": {"path": "/somewhere/Größe und Maß", "sample_rate": 8000, "Offset": 3},
 "train": {"learning_rate": 0.0002, "max_minutes": null, "use_ema": false,
  "factors": [1, 2, 4], "note": "a ; b # c"}}"""
YAML = """\
name: my run
data: {path: /somewhere/Größe und Maß, sample_rate: 8000, Offset: 3}
train:
  learning_rate: 2e-4  # PyYAML alone makes a text of this
  max_minutes: null
  use_ema: no
  factors: [1, 2, 4]
  note: "a ; b # c"
"""


@pytest.mark.parametrize(("suffix", "text"), [("ini", INI), ("json", JSON), ("yaml", YAML)])
def test_the_three_kinds_of_file_say_the_same(tmp_path, suffix, text):
    file = tmp_path / f"a b ü.{suffix}"
    file.write_text(text, encoding="utf-8")
    config = load_config(Config, file)
    assert config == Config(
        data=Data(Path("/somewhere/Größe und Maß"), sample_rate=8000, Offset=3),
        train=Train(learning_rate=2e-4, use_ema=False, factors=(1, 2, 4), note="a ; b # c"),
        name="my run",
    )
    assert isinstance(config.train.learning_rate, float)


def test_the_last_one_wins(tmp_path):
    file = tmp_path / "c.ini"
    file.write_text("[train]\nmax_steps = 7\nlearning_rate = 3\n")
    config = load_config(Config, file, ["train.max_steps=9", "train.max_steps=8"])
    assert (config.train.max_steps, config.train.learning_rate) == (8, 3.0)
    assert config.train.precision == "auto"
    again = load_config(Config, None, ["train.max_steps=1"], base=config)
    assert (again.train.max_steps, again.train.learning_rate) == (1, 3.0)


def test_a_byte_order_mark_and_an_empty_file_are_fine(tmp_path):
    for suffix, text in (("ini", "\ufeff[train]\nmax_steps=4"), ("yaml", ""), ("json", " ")):
        file = tmp_path / f"c.{suffix}"
        file.write_text(text, encoding="utf-8")
        assert load_config(Config, file).train.max_steps == (4 if suffix == "ini" else 100)
    (tmp_path / "c.yaml").write_text("data:\n")
    assert load_config(Config, tmp_path / "c.yaml") == Config()


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.max_steps=1_000", "max_steps", 1000),
        ("train.max_steps=1e5", "max_steps", 100_000),
        ("train.max_minutes=10", "max_minutes", 10.0),
        ("train.max_minutes=", "max_minutes", None),
        ("train.use_ema=Off", "use_ema", False),
        ("train.bits=24", "bits", 24),
        ("train.precision=bf16", "precision", "bf16"),
        ("train.factors=[8]", "factors", (8,)),
        ("train.factors=", "factors", ()),
        ("train.note=a=b, c", "note", "a=b, c"),
        ("train.log=none", "log", None),
        ("train.log='none'", "log", "none"),
        ("train.seed=12", "seed", 12),
        ("train.seed=twelve", "seed", "twelve"),
    ],
)
def test_words_become_the_type_of_their_field(override, key, value):
    result = getattr(load_config(Config, None, [override]).train, key)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.max_steps=ten", "config key 'train.max_steps': expected int, got 'ten'"),
        ("train.max_steps=1.5", "config key 'train.max_steps': expected int, got '1.5'"),
        ("train.use_ema=maybe", "expected bool (true or false), got 'maybe'"),
        ("train.precision=bf61", "'train.precision': expected one of auto, bf16, fp32, got 'bf61'"),
        ("train.factors=1,x", "'train.factors': expected list of int, got '1,x'"),
        ("data.split=1", "'data.split': expected list of float, float (2 values), got '1'"),
        ("train.max_minutes=soon", "expected float or none, got 'soon'"),
        ("train.learning_rat=1", "'train.learning_rat'; did you mean 'train.learning_rate'?"),
        ("train.lr=1", "'train.lr'; did you mean 'train.learning_rate'?"),
        ("learning_rate=1", "'learning_rate'; did you mean 'train.learning_rate'?"),
        ("data.max_steps=1", "'data.max_steps'; did you mean 'train.max_steps'?"),
        ("train.steps=1", "'train.steps'; did you mean 'train.max_steps'?"),
        ("training.max_steps=1", "did you mean 'train.max_steps'?"),
        ("zzz=1", "unknown config key 'zzz'; known: data, train"),
        ("train=1", "'train' is a section: give its keys, such as train.learning_rate=..."),
        ("max_steps", "expected key=value such as train.max_steps=100, got 'max_steps'"),
        ("train.max_steps=-1", "section 'train': max_steps must not be negative, got -1"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(override, message):
    with pytest.raises(ConfigError) as caught:
        load_config(Config, None, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.toml", "", "unknown kind '.toml', expected .ini, .json, .yaml, .yml"),
        ("c.ini", "[train]\nmax_steps\n", "line 2: expected 'key = value' or '[section]'"),
        ("c.ini", "[train] max_steps = 3\n", "line 1: expected '[section]' alone on its line"),
        ("c.ini", "[train]\nnote = a\n\nnote = b\n", "line 4: key 'note' is given twice"),
        ("c.ini", "[train]\nmax_step = 1\n", "did you mean 'train.max_steps'?"),
        ("c.json", '{"train":\n {"max_steps": }}', "line 2: broken JSON"),
        ("c.json", '{"name": "a", "name": "b"}', "key 'name' is given twice"),
        ("c.json", "[1]", "expected sections with keys, got a list"),
        ("c.json", '{"train": {"max_steps": true}}', "expected int, got True"),
        ("c.yaml", "train:\n  max_steps: 1\n - 3\n", "line 3: broken YAML"),
        ("c.yaml", "train:\n  max_steps: 1\n  max_steps: 2\n", "line 3: key 'max_steps' is given"),
        ("c.yaml", "name: 007\n", "'name': expected str (put it in quotes), got 7"),
        ("c.yaml", "data: 3\n", "'data' in '"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(Config, tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"'.*gone\.ini' does not exist"):
        load_config(Config, tmp_path / "gone.ini")
    (tmp_path / "latin.ini").write_bytes("name = Größe".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.ini' is not UTF-8 text"):
        load_config(Config, tmp_path / "latin.ini")
    (tmp_path / "folder.ini").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.ini' cannot be read"):
        load_config(Config, tmp_path / "folder.ini")


def test_a_missing_value_is_asked_for_and_a_default_section_keeps_its_own_values():
    with pytest.raises(ConfigError, match=r"'folder' has no value: give folder=\.\.\."):
        load_config(Needed)
    config = load_config(Needed, None, ["folder=x", "inner.Offset=2"])
    assert config == Needed(Path("x"), Data(sample_rate=8000, Offset=2))


def random_config(draw: random.Random) -> Config:
    letters = "aZ09 äß漢🎹#;:'\"=%,-[]{}&*!|>@`\\/\t\n\r\x85\u2028~\x07"

    def text() -> str:
        special = ["none", "yes", "1e5", "null", "2024-01-01", "1:30", "", " ", "\\udc80", "0x1f"]
        words = "".join(draw.choices(letters, k=draw.randrange(9)))
        return draw.choice([*special, words, words, words])

    def number() -> float:
        scales = [0.0, 1.0, 1e-5, 1e22, 1e300, float("inf")]
        return draw.choice([-1, 1]) * draw.choice([draw.random(), *scales])

    return Config(
        data=Data(
            path=Path("x" + text().replace("\0", "")),
            sample_rate=draw.randrange(-(10**12), 10**12),
            split=(number(), number()),
            names=[text() for _ in range(draw.randrange(4))],
        ),
        train=Train(
            learning_rate=number(),
            max_minutes=draw.choice([None, number()]),
            use_ema=draw.random() < 0.5,
            bits=draw.choice([16, 24]),
            factors=tuple(draw.choices(range(99), k=draw.randrange(5))),
            note=text(),
            seed=draw.choice([3, "3", text()]),
            log=draw.choice([None, "none", text()]),
        ),
        name=text(),
    )


def test_an_archived_config_reloads_to_an_equal_object(tmp_path):
    draw = random.Random(0)
    for _ in range(80):
        config = random_config(draw)
        save_config(config, tmp_path / "config.yaml")
        assert load_config(Config, tmp_path / "config.yaml") == config


def test_config_to_dict_holds_plain_values_only():
    plain = config_to_dict(Config())
    assert plain["data"]["path"] == "data"
    assert plain["data"]["split"] == [0.9, 0.1]
    assert plain["train"]["factors"] == [1, 4]
    with pytest.raises(TypeError, match="expected a config dataclass, got dict"):
        config_to_dict({})


def test_the_help_lists_every_key_with_type_default_and_text():
    text = " ".join(config_text(Config).split())
    assert "data.path path; default data. where the recordings lie, searched recursively." in text
    assert "train.learning_rate float; default 0.0001. the peak rate" in text
    assert "train.precision one of auto, bf16, fp32; default auto." in text
    assert "train.max_minutes float or none; default none." in text
    assert "folder path; must be given." in " ".join(config_text(Needed).split())
    assert max(len(line) for line in config_text(Config).splitlines()) <= 96
