"""Objects that know what they were made of, and models that are saved and loaded by it."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from .described import RECORD, Described, describe_call, find_unknown
from .files import load_file, load_folder, save_folder, words_about
from .hub import find_folder
from .loading import load_exactly
from .names import UntrustedNameError, find, name_of
from .rebuilt import NotDescribedError, call, rebuild

if TYPE_CHECKING:
    from typing_extensions import Self

Kind = TypeVar("Kind", bound=Callable[..., Any])


class _InitSignature:
    """Lets `inspect.signature` and help show what `__init__` takes, not `__new__`."""

    def __get__(self, made: object, kind: type) -> inspect.Signature:
        if made is not None:  # what calling the object itself takes is another matter
            raise AttributeError("__signature__")
        signature = inspect.signature(kind.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Recorded:
    """Keeps a description of the arguments it is made with, so that a saved model can hold it.

    Subclasses need nothing: their own arguments are recorded before their `__init__` runs. The
    description is plain data, so objects still deep-copy and pickle.
    """

    __signature__ = _InitSignature()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the object as always, and note what it is made of."""
        new = super().__new__
        made: Self = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        made.__dict__[RECORD] = describe_call(cls, args, kwargs)
        return made


def recorded(make: Kind) -> Kind:
    """Return the class such that what it makes remembers its arguments.

    For parts of other packages that are given to a model as objects:
    `DiffusionAE(encoder=recorded(SomeEncoder)(channels=64), ...)` can be saved and loaded.

    Args:
        make: A class.

    Raises:
        ValueError: If it is no class.
    """
    if not isinstance(make, type):
        raise ValueError(f"recorded wants a class, got {make!r}")

    def made(*args: Any, **kwargs: Any) -> Any:
        part = make(*args, **kwargs)
        part.__dict__[RECORD] = describe_call(make, args, kwargs)
        return part

    return made  # type: ignore[return-value]


class Pretrained(Recorded):
    """Adds `save_pretrained` and `from_pretrained` to an `nn.Module`; the mixin of every model.

    A folder holds `config.json`, what the model was made of, and `model.safetensors`, its weights
    and what was fitted, such as a normaliser's statistics.
    """

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config.json and model.safetensors, and return the folder.

        Classes and functions are saved by name, objects by what they were made of. What has no
        name (a lambda) or recorded no arguments is noted, with a warning, and has to be given to
        `from_pretrained` again. Saved are the arguments that the model was made with: a part that
        was exchanged afterwards is not seen.

        Args:
            folder: Where to; made if it is missing. A model that is in it is replaced, and stays
                whole if the saving fails or is killed.

        Raises:
            OSError: If the folder cannot be written.
            ValueError: If the weights cannot be saved: they are on the meta device, or no tensors.
        """
        missing = find_unknown(_content(self)["arguments"])
        if missing:
            lines = "; ".join(f"{path} ({kind}: {reason})" for path, kind, reason in missing)
            # Arguments of a `*name` have no name to give them by.
            heads = dict.fromkeys(re.split(r"[.\[]", path)[0] for path, _, _ in missing)
            words = " and ".join(f"{head}=" for head in heads if head != "*") or "it"
            warnings.warn(
                f"config.json cannot hold {lines}: pass {words} to from_pretrained again",
                stacklevel=2,
            )
        folder = Path(folder).expanduser()
        save_folder(folder, _content(self), _state_of(self))
        return folder

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        revision: str | None = None,
        trusted: Sequence[Any] = (),
        **replacements: Any,
    ) -> Self:
        """Return the model that `save_pretrained` saved, with its weights, in training mode.

        The global random state is left as it was.

        Args:
            name: A folder, a safetensors file that holds its config too (such as those of training
                runs), or a name on the Hugging Face hub where there is no such folder.
            device: Where the model goes; default the CPU.
            dtype: What its weights become; default as they were saved.
            revision: Branch, tag or commit on the hub.
            trusted: Classes and functions of your own that config.json may name. Without, only
                parts of this package, audio-encoders-pytorch, a-unet and `torch.nn` are imported.
            **replacements: Arguments of the constructor to use in place of the saved ones. A class
                in place of an object of that class is called with the saved arguments.

        Raises:
            FileNotFoundError: If there is no such folder, none on the hub, or a file is missing.
            ImportError: If a name is looked for on the hub and its client is missing.
            TypeError: If the saved model is not of this class.
            ValueError: If a file is damaged, if config.json names what is not imported or not
                described, or if the weights do not fit.
        """
        folder = Path(name).expanduser()
        if folder.is_file():
            config, state = load_file(folder)
        else:
            folder = find_folder(name, revision)
            config, state = load_folder(folder)
        kind = _class_of(config["class"], cls, trusted, folder)
        arguments = _arguments(kind, config["arguments"], replacements, trusted, folder)
        with torch.random.fork_rng(devices=[]):
            model: Self = call(kind, arguments)
        load_exactly(_module(model), state, folder)
        _module(model).to(device=device, dtype=dtype)
        return model


def model_words(model: nn.Module) -> dict[str, str]:
    """Return what makes a safetensors file of the weights one that `from_pretrained` loads.

    Empty for a model that does not derive from `Pretrained`.
    """
    return words_about(_content(model)) if isinstance(model, Pretrained) else {}


def _content(model: Any) -> dict[str, Described]:
    kind = type(model)
    name = name_of(kind) or f"{kind.__module__}:{kind.__qualname__}"
    return {"class": name, "arguments": model.__dict__.get(RECORD, {})}


def _module(model: Any) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise ValueError(f"{type(model).__name__} is no nn.Module: only these hold weights")
    return model


def _state_of(model: Any) -> dict[str, Tensor]:
    """Return the tensors to save; a compiled part has the names of the part.

    Raises:
        ValueError: If something is no tensor, or has no values.
    """
    state = {
        key.replace("_orig_mod.", ""): value for key, value in _module(model).state_dict().items()
    }
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{key} is a {type(value).__name__}: only tensors can be saved")
        if value.is_meta:
            raise ValueError(f"{key} has no values: move the model off the meta device first")
    return state


def _class_of(name: str, wanted: type, trusted: Sequence[Any], folder: Path) -> Any:
    """Return the saved class, checked to be one of the wanted kind."""
    try:
        kind = find(name, (wanted, *trusted))
    except UntrustedNameError:
        raise ValueError(
            f"{folder} holds a {name}, which is not imported because a file names it: import the "
            f"class and call its own from_pretrained, or pass trusted=[{name.split(':')[-1]}]"
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, wanted)):
        raise TypeError(
            f"{folder} holds a {name}, not a {wanted.__name__}: call "
            f"{getattr(kind, '__name__', name)}.from_pretrained"
        )
    return kind


def _arguments(
    kind: type,
    saved: Mapping[str, Described],
    replacements: Mapping[str, Any],
    trusted: Sequence[Any],
    folder: Path,
) -> dict[str, Any]:
    """Return the arguments to make the model with.

    Raises:
        ValueError: If one is needed that the file cannot give; says how to give it.
    """
    arguments: dict[str, Any] = {}
    for name, tree in saved.items():
        if name in replacements and not _is_class_of(replacements[name], tree):
            arguments[name] = replacements[name]
            continue
        also = [replacements[name]] if name in replacements else []
        try:
            arguments[name] = rebuild(tree, [*trusted, *also])
        except UntrustedNameError as error:
            word = str(error).split(":")[-1]
            raise ValueError(
                f"{folder} names {error} for {name}, which is not imported because a file names "
                f"it: pass {name}=..., or trusted=[{word}], to {kind.__name__}.from_pretrained"
            ) from None
        except NotDescribedError as error:
            raise ValueError(
                f"{folder} cannot say what {name} was ({error}): pass it again, "
                f"{kind.__name__}.from_pretrained(..., {name}=...)"
            ) from None
    return {**arguments, **{k: v for k, v in replacements.items() if k not in arguments}}


def _is_class_of(given: Any, tree: Described) -> bool:
    """Return whether a class is given where the file describes an object of it."""
    if not (inspect.isclass(given) and isinstance(tree, dict) and "$object" in tree):
        return False
    return bool(tree["$object"].split(":")[-1] == given.__qualname__)
