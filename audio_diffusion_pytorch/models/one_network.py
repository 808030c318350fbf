"""A model holds its network under several names; its state dict holds it once."""

from __future__ import annotations

from typing import Any

from torch import nn


def save_network_once(model: nn.Module) -> None:
    """Let `state_dict` hold what `model.net`, its objective and its sampler share only once.

    Files with a copy under each name, as of 0.1.3, load all the same.
    """
    model.register_state_dict_post_hook(_keep_one_net)
    model.register_load_state_dict_pre_hook(_share_one_net)


def _aliases(model: nn.Module) -> list[str]:
    """Return the names under which the one network is registered a second and third time."""
    net, sampler = model.net, model.sampler
    parts: dict[str, Any] = {"diffusion.": model.diffusion, "sampler.": sampler}
    parts["sampler.diffusion."] = getattr(sampler, "diffusion", None)
    return [f"{name}net." for name, part in parts.items() if getattr(part, "net", None) is net]


def _shares_diffusion(model: nn.Module) -> bool:
    return getattr(model.sampler, "diffusion", None) is model.diffusion


def _keep_one_net(
    module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: dict[str, Any]
) -> None:
    """Leave the copies of the network out of a state dict: savers refuse shared tensors."""
    del local_metadata
    aliases = [prefix + alias for alias in _aliases(module)]
    if _shares_diffusion(module):  # the objective's own weights too, such as a learned loss weight
        aliases.append(f"{prefix}sampler.diffusion.")
    for key in [key for key in state if key.startswith(tuple(aliases))] if aliases else []:
        del state[key]


def _share_one_net(module: nn.Module, state: dict[str, Any], prefix: str, *unused: object) -> None:
    """Give every alias of the network the one copy that a state dict holds, whichever it is."""
    del unused
    names = [f"{prefix}net.", *(prefix + alias for alias in _aliases(module))]
    for source in names:
        found = {k.removeprefix(source): v for k, v in state.items() if k.startswith(source)}
        if found:
            state.update({name + key: value for key, value in found.items() for name in names})
            break
    if _shares_diffusion(module):
        own = f"{prefix}diffusion."
        copied = {k: v for k, v in state.items() if k.startswith(own)}
        state.update({f"{prefix}sampler.{k.removeprefix(prefix)}": v for k, v in copied.items()})
    _fill_aliases(module, state, prefix)


def _fill_aliases(module: nn.Module, state: dict[str, Any], prefix: str) -> None:
    """Give aliases without a value the one they have: what is missing is named once, as saved."""
    shared: dict[str, Any] = dict.fromkeys(_aliases(module), module.net)
    if _shares_diffusion(module):
        shared["sampler.diffusion."] = module.diffusion
    for alias, part in shared.items():
        for key, value in part.state_dict().items():
            state.setdefault(f"{prefix}{alias}{key}", value)
