"""Hooks on every module that see where numbers stop being finite, on the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .culprit import Culprit, Numbers, count_numbers

NOTHING = Numbers(0, 0, 0, 0.0)


class NumericsWatch:
    """Within this context every call of a module of a model is looked at, and every gradient.

    The first module whose output is not finite though its input is made the trouble; since parts
    end before what they are parts of, that is the innermost one. On the way back it is the first
    module that passes on a gradient which is not finite, or has one for its weights, though a
    finite one came to it. The module can be called any number of times; nothing is changed but
    for the time it takes.

    >>> from torch import nn, ones
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    >>> _ = nn.init.constant_(model[0].weight, float("nan"))
    >>> with NumericsWatch(model) as watch:
    ...     _ = model(ones(1, 2))
    >>> watch.culprit.name
    '0 (Linear)'

    Args:
        model: What is watched, with all its parts.

    Attributes:
        culprit: Who made the first numbers that are not finite; None while all are.
        activations: Largest finite magnitude each module said, by its dotted path.
        gradients: Largest finite magnitude of the gradient of each weight, by its dotted path.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.culprit: Culprit | None = None
        self.activations: dict[str, float] = {}
        self.gradients: dict[str, float] = {}
        self._calls: dict[str, list[_Call]] = {}  # those under way, the innermost last
        self._made: dict[str, list[_Call]] = {}  # those that ended
        self._met: dict[str, str] = {}  # during which pass: the module that met them first
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> NumericsWatch:
        """Hang the hooks on."""
        for name, module in self.model.named_modules():
            call = _Hooks(self, name, module)
            self._handles += [
                module.register_forward_pre_hook(call.before, with_kwargs=True),
                module.register_forward_hook(call.after, with_kwargs=True),
            ]
            for key, weight in module.named_parameters(recurse=False):
                if weight.requires_grad and weight.is_leaf:
                    self._handles.append(weight.register_hook(call.weight_hook(key)))
        return self

    def __exit__(self, *_: object) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def largest(self, count: int = 10) -> list[tuple[str, float]]:
        """Return the modules that said the largest numbers, and these, the largest first."""
        return sorted(self.activations.items(), key=lambda item: -item[1])[:count]

    def largest_gradients(self, count: int = 10) -> list[tuple[str, float]]:
        """Return the weights with the largest gradients, and these, the largest first."""
        return sorted(self.gradients.items(), key=lambda item: -item[1])[:count]

    @property
    def first_met(self) -> str:
        """Where numbers that are not finite were seen first, made or not; empty if nowhere."""
        met = self._met.get("forward", self._met.get("backward"))
        return "the model itself" if met == "" else met or ""

    def _blame(
        self,
        name: str,
        module: nn.Module,
        during: Literal["forward", "backward", "given"],
        made: Numbers,
        of: Numbers,
    ) -> None:
        if self.culprit is not None:
            return
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        bad = tuple(f"{key} ({told.text})" for key, told in _counted(own) if not told.finite)
        met = self._met.get(during, "")
        passed_by = met if met != name and _is_part(met, name) else ""
        self.culprit = Culprit(name, type(module).__name__, during, made, of, bad, passed_by)


class _Call:
    """One call of a module: what it was given, and the gradient that came to what it said."""

    def __init__(self, given: Numbers) -> None:
        self.given = given
        self.came = NOTHING
        self.bad_came = False


class _Hooks:
    """What happens at a module."""

    def __init__(self, watch: NumericsWatch, name: str, module: nn.Module) -> None:
        self.watch, self.name, self.module = watch, name, module

    def before(self, _: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Look at the input, and have each tensor of it tell the gradient it gets in this call."""
        watch = self.watch
        call = _Call(count_numbers((args, kwargs)))
        watch._calls.setdefault(self.name, []).append(call)
        if not call.given.finite:
            watch._met.setdefault("forward", self.name)
            if not self.name:
                watch._blame(self.name, self.module, "given", call.given, NOTHING)
        args = tuple(self._apart(value, call) for value in args)
        return args, {key: self._apart(value, call) for key, value in kwargs.items()}

    def after(self, _: nn.Module, args: Any, kwargs: Any, said: Any) -> None:
        """Look at the output."""
        watch = self.watch
        call = watch._calls[self.name].pop()
        watch._made.setdefault(self.name, []).append(call)
        told = count_numbers(said)
        watch.activations[self.name] = max(watch.activations.get(self.name, 0.0), told.largest)
        if not told.finite and call.given.finite:
            watch._blame(self.name, self.module, "forward", told, call.given)
        mine = [id(value) for value in (*args, *kwargs.values())]
        parts = said if isinstance(said, (tuple, list)) else [said]
        for tensor in parts:
            # What is passed through as it came has no gradient of its own.
            if isinstance(tensor, Tensor) and tensor.requires_grad and id(tensor) not in mine:
                tensor.register_hook(self._coming(call))

    def _apart(self, value: Any, call: _Call) -> Any:
        """Return a tensor as this call alone has it, so that its gradient is that of this call."""
        if not (isinstance(value, Tensor) and value.requires_grad and value.is_floating_point()):
            return value
        own = value.view_as(value)
        if own.requires_grad:  # without gradients it is not
            own.register_hook(self._passing(call))
        return own

    def _coming(self, call: _Call) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            told = count_numbers(gradient)
            call.came = max(call.came, told, key=lambda numbers: numbers.largest)
            if not told.finite:
                call.bad_came = True
                self.watch._met.setdefault("backward", self.name)

        return hook

    def _passing(self, call: _Call) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            told = count_numbers(gradient)
            if not told.finite and not call.bad_came:
                self.watch._blame(self.name, self.module, "backward", told, call.came)

        return hook

    def weight_hook(self, key: str) -> Callable[[Tensor], None]:
        """Return what looks at the gradient of a weight of the module."""
        name = f"{self.name}.{key}" if self.name else key

        def hook(gradient: Tensor) -> None:
            watch = self.watch
            told = count_numbers(gradient)
            watch.gradients[name] = max(watch.gradients.get(name, 0.0), told.largest)
            if told.finite:
                return
            calls = watch._made.get(self.name, [])
            if calls and not any(call.bad_came for call in calls):
                came = max((call.came for call in calls), key=lambda numbers: numbers.largest)
                watch._blame(self.name, self.module, "backward", told, came)
            watch._met.setdefault("backward", name)

        return hook


def _counted(own: list[tuple[str, Tensor]]) -> list[tuple[str, Numbers]]:
    return [(key, count_numbers(value)) for key, value in own]


def _is_part(name: str, of: str) -> bool:
    return bool(name) and (not of or name.startswith(f"{of}."))
