"""Runs that have been trained: found, loaded, and told how to sample."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from choices import GRIDS, GUIDES, SAMPLERS
from recipe import Config, SampleConfig, Sampling, build_model, choose_sampling
from safetensors import SafetensorError
from safetensors.torch import load_file

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import LabelTable
from audio_diffusion_pytorch.training import (
    RecipeParser,
    Run,
    choose_device,
    load_config,
    load_weights,
)
from audio_diffusion_pytorch.training.config_files import read_config_file


class Trained(NamedTuple):
    """A finished run, ready to make sounds."""

    run: Run
    config: Any
    labels: LabelTable
    model: DiffusionModel


GENERATES = ("unconditional", "class_conditional")
"""The recipes whose models make sounds from noise, or from noise and labels, alone."""

USES = {"text_conditional": "generate.py --text WORDS makes sounds with it"}
"""What uses the runs of a recipe."""


def load_run(
    name: str | None,
    runs: str = "runs",
    device: str = "auto",
    *,
    schema: type[Config] = Config,
    build: Callable[[Any], DiffusionModel] | None = None,
) -> Trained:
    """Return a run with its averaged model.

    Args:
        name: Its folder, its experiment, or None for the newest run of the recipe.
        runs: Where the runs are.
        device: Where the model should be.
        schema: The settings of the recipe, such as `UpsamplerConfig`; by default those of
            `GENERATES`.
        build: Returns its model from the settings, such as `build_upsampler`.

    Raises:
        FileNotFoundError: There is no such run, or no checkpoint in it.
        ValueError: The run is of another recipe, the checkpoint damaged or from another model.
    """
    run = _find_run(name, runs, GENERATES if schema is Config else (schema.recipe,))
    config = load_config(schema, run.config_path)
    weights = run.weights
    if not weights.is_file():
        raise FileNotFoundError(
            f"there is no {weights}: the run has saved no checkpoint yet; name another with --run"
        )
    labels = LabelTable.from_dict(json.loads(run.labels_path.read_text("utf-8")))
    model = build_model(config, labels.num_classes) if build is None else build(config)
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise ValueError(f"{weights} is damaged ({error}); name another run with --run") from error
    load_weights(model, state, weights)
    return Trained(run, config, labels, model.to(choose_device(device, key="--device")).eval())


def _find_run(name: str | None, runs: str, recipes: Sequence[str]) -> Run:
    """Return the run of that name; without one, the newest of these recipes, with weights first."""
    if not name:
        fitting = [run for run in Run.all(runs) if recipe_of(run) in recipes]
        if fitting:
            return max(fitting, key=lambda run: (run.weights.is_file(), run.order))
    run = Run.find(name, runs, with_weights=True)
    recipe = recipe_of(run)
    if recipe not in recipes:
        wanted = " or ".join(f"train_{recipe}.py" for recipe in recipes)
        use = USES.get(recipe, "export_pretrained.py makes of it a model for Python")
        raise ValueError(
            f"{run.directory.name} was trained by train_{recipe}.py: {use}; this script takes a "
            f"run of {wanted}, name one with --run"
        )
    return run


def recipe_of(run: Run) -> str:
    """Return the recipe that made a run; "unconditional" of settings that do not say.

    Raises:
        ValueError: The settings cannot be read.
    """
    values, _ = read_config_file(run.config_path)
    return str(values.get("recipe", Config.recipe))


def add_sampling_flags(parser: RecipeParser) -> None:
    """Let a script be told how to sample, in place of what the run's settings say."""
    parser.add_argument("--sampler", choices=[*SAMPLERS], help="default: the run's sample.sampler")
    parser.add_argument("--grid", choices=[*GRIDS], help="default: the run's sample.grid")
    parser.add_argument("--guidance", type=float, help="1 is off; default: sample.guidance")
    parser.add_argument("--guide", choices=[*GUIDES], help="default: sample.guide")


def sampling_asked(trained: Trained, options: Namespace) -> tuple[SampleConfig, Sampling]:
    """Return how to sample a run: its settings, but for the flags that were given.

    Raises:
        ValueError: The settings do not go together.
    """
    names = ("sampler", "grid", "guidance", "guide")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    settings = replace(trained.config.sample, **given)
    return settings, choose_sampling(trained.model, settings)
