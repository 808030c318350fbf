"""Look at a model from outside: its parts, weights, receptive field, lengths and cost.

python examples/inspect_model.py --run demo
python examples/inspect_model.py --pretrained piano --length 32000 --depth 4
python examples/inspect_model.py --recipe class_conditional model.channels=256,256 model.bins=512

Everything is found by running the model: which samples influence an output sample by gradients,
which lengths it takes by trying them, memory by watching every tensor. Nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, NamedTuple

import torch
from any_run import KINDS, load_any_run, loss_of
from export_pretrained import OWN
from recipe import build_model
from torch import nn
from train_class_conditional import LabelledConfig
from train_unconditional import UnconditionalConfig
from trained import Trained

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import LabelTable
from audio_diffusion_pytorch.diagnostics import clip_call, network_call, summarize_model
from audio_diffusion_pytorch.diagnostics.model_summary import ModelCall, find_channels
from audio_diffusion_pytorch.serialization import Pretrained
from audio_diffusion_pytorch.training import (
    RecipeParser,
    choose_device,
    load_config,
    open_data,
    run_recipe,
)

SCHEMAS: dict[str, Any] = {
    "unconditional": UnconditionalConfig,
    "class_conditional": LabelledConfig,
} | {name: known["schema"] for name, known in KINDS.items() if known}


class Subject(NamedTuple):
    """What is looked at.

    Attributes:
        model: The model.
        call: Runs it for one clip.
        length: Samples of its clips, if that is known.
        sample_rate: Hz, if that is known.
    """

    model: nn.Module
    call: ModelCall
    length: int | None
    sample_rate: int | None


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("--run", help="run folder or experiment (default: the newest run)")
    subject.add_argument("--pretrained", metavar="FOLDER", help="a folder of export_pretrained.py")
    subject.add_argument("--recipe", choices=SCHEMAS, help="the model of a recipe, untrained")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="of --recipe")
    parser.add_argument("--runs", default="runs", help="where the runs are (train.runs)")
    parser.add_argument("--length", type=int, help="samples of the clip (default: as in training)")
    parser.add_argument("--depth", type=int, help="of the parts that are shown (default: all)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    options = parser.parse_intermixed_args()
    if options.settings and options.recipe is None:
        parser.error(f"{options.settings[0]} is a setting: it goes with --recipe")
    if options.length is not None and options.length < 1:
        parser.error(f"--length must be at least 1 sample, got {options.length}")
    return options


def untrained(recipe: str, settings: list[str]) -> Trained:
    """Return the model that a recipe would train, as if it were a run.

    Raises:
        ValueError: The settings do not go together.
        FileNotFoundError: There are no recordings, of which the labels are taken.
    """
    config = load_config(SCHEMAS[recipe], None, settings)
    labels = LabelTable()
    if config.data.labels is not None:
        labels = open_data(config.data, config.train.seed)[0].label_table
    build = KINDS[recipe].get("build")
    model = build(config) if build else build_model(config, labels.num_classes)
    model.fit_normalizer([torch.randn(4, config.data.channels, config.data.length)])
    return Trained(None, config, labels, model.eval())


def of_recipe(trained: Trained) -> Subject:
    """Return the model of a recipe, run by the loss it is trained by."""
    data = trained.config.data
    labels = [0] * len(trained.labels.columns)
    call = clip_call(data.channels, loss=loss_of(trained), labels=labels)
    return Subject(trained.model, call, data.length, data.sample_rate)


def of_folder(folder: str, length: int) -> Subject:
    """Return a saved model or network, run as such.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It cannot be loaded, or is called in another way than models and networks are.
    """
    model = Pretrained.from_pretrained(folder, trusted=OWN).eval()
    make = clip_call if isinstance(model, DiffusionModel) else network_call
    rate = getattr(getattr(model, "autoencoder", None), "sample_rate", None)
    return Subject(model, make(find_channels(model, make, length)), None, rate)


def main() -> None:
    """Print what was found."""
    options = read_options()
    if options.pretrained is not None:
        subject = of_folder(options.pretrained, options.length or 16384)
    elif options.recipe is not None:
        subject = of_recipe(untrained(options.recipe, options.settings))
    else:
        subject = of_recipe(load_any_run(options.run, options.runs, "cpu"))
    model = subject.model.to(choose_device(options.device, key="--device"))
    length = options.length or subject.length or 16384
    print(summarize_model(model, subject.call, length, subject.sample_rate).text(options.depth))


if __name__ == "__main__":
    sys.exit(run_recipe(main))
