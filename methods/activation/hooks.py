"""Hidden states at named places, read and changed by hooks that live as long as a context and no longer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ...core.errors import DetoxbenchError
from ..base import ActivationMethod, Place

Change = Callable[[Tensor], Tensor | None]
"""From states to new ones; None leaves them."""


@contextmanager
def hooked(model: nn.Module, changes: Mapping[Place, Change]) -> Iterator[None]:
    """The states at these places go through functions while the context is open, in the order of the mapping.

    Raises:
        DetoxbenchError: for a place that the model does not have.
    """
    handles = []
    try:
        for place, change in changes.items():
            try:
                module = model.get_submodule(place.module)
            except AttributeError:
                raise DetoxbenchError(f"this model has no module {place.module}: refit for it") from None
            if place.side == "input":
                hook = functools.partial(_before, change=change)
                handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
            else:
                handles.append(module.register_forward_hook(functools.partial(_after, change=change)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def watching(model: nn.Module, places: Mapping[str, Place]) -> Iterator[dict[str, Tensor]]:
    """Place's name -> what it last had, filled while the context is open."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, states: Tensor) -> None:
        seen[name] = states

    with hooked(model, {place: functools.partial(keep, name) for name, place in places.items()}):
        yield seen


@contextmanager
def steering(
    model: nn.Module, method: ActivationMethod, beside: Mapping[str, Mapping[str, Tensor]] | None = None
) -> Iterator[None]:
    """The model's states are those of an activation method while the context is open.

    Args:
        beside: auxiliary's name -> place's name -> its states ``[batch, pos, dim]``; of more positions than the base
            model's (a prefix), the last ones.
    """
    others = beside or {}

    def change(name: str, states: Tensor) -> Tensor:
        at = {one: _last(seen[name], states) for one, seen in others.items()}
        return method.states(name, states, at)

    with hooked(model, {place: functools.partial(change, name) for name, place in method.places.items()}):
        yield


def _last(seen: Tensor, states: Tensor) -> Tensor:
    if seen.dim() == 2 and states.dim() == 2 and len(seen) != len(states):
        raise DetoxbenchError("this model joins batch and positions, so that a prefix cannot be told from the text")
    count = states.shape[-2]
    return seen[..., -count:, :].to(states.device)


def _before(_module: nn.Module, args: tuple, kwargs: dict, *, change: Change) -> tuple[tuple, dict] | None:
    if args:
        new = change(args[0])
        return None if new is None else ((new, *args[1:]), kwargs)
    name = next(iter(kwargs))
    new = change(kwargs[name])
    return None if new is None else (args, {**kwargs, name: new})


def _after(_module: nn.Module, _args: tuple, output: Any, *, change: Change) -> Any:
    if isinstance(output, tuple):
        new = change(output[0])
        return None if new is None else (new, *output[1:])
    return change(output)
