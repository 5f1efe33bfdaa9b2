"""Training the rows of a table that are used, and no others.

Of a vocabulary of 262,144 tokens a fit's texts have a few thousand. The gradient of every other row of the embeddings
is zero, and AdamW without weight decay leaves such a row as it is; gradients and moments of the whole table would take
three times its memory, and most of the time, for nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from . import in_blocks


class Places:
    """Where the used tokens lie among themselves.

    Args:
        used: token ids, each once.
        vocab: number of all tokens.
    """

    def __init__(self, used: Tensor, vocab: int):
        self.used = used
        self._places = used.new_full((vocab,), -1)
        self._places[used] = torch.arange(len(used), device=used.device)

    def __call__(self, tokens: Tensor) -> Tensor:
        """The place of each token; -1 for one that is not used."""
        return self._places[tokens]


LARGE = 1 << 24
"""Numbers of a table from which on the gradient of all of it is worth avoiding."""


def called(body: nn.Module, ids: Tensor, given: Mapping[str, Any]) -> Any:
    """What a body makes of token ids, where the gradient of a large table of embeddings goes straight into its rows:
    autograd would make one of the whole table for each call.

    Args:
        body: a model without its head.
        ids: ``[rows, pos]``.
        given: further arguments of the body.
    """
    table = body.get_input_embeddings()  # type: ignore[operator]
    name = next((name for name, one in body.named_parameters() if one is getattr(table, "weight", None)), None)
    if not torch.is_grad_enabled() or name is None or not isinstance(table, nn.Embedding) or not _in_place(table):
        return body(input_ids=ids, **given)
    whole, places = table.weight, Places(ids.unique(), table.num_embeddings)
    with _placed(table, places):
        rows = _Rows.apply(whole, places.used)
        return functional_call(body, {str(name): rows}, (), {"input_ids": ids, **given})


def _in_place(table: nn.Embedding) -> bool:
    return table.weight.requires_grad and table.weight.device.type == "cpu" and table.weight.numel() >= LARGE


class _Rows(torch.autograd.Function):
    """Some rows of a table."""

    @staticmethod
    def forward(ctx: Any, whole: nn.Parameter, used: Tensor) -> Tensor:
        ctx.whole, ctx.used = whole, used
        return whole.detach()[used]

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        in_blocks.gradient(ctx.whole).index_add_(0, ctx.used, given[0])
        return None, None


@contextlib.contextmanager
def _placed(table: nn.Embedding, places: Places) -> Iterator[None]:
    """An embedding that is called with token ids and looks at their places."""
    padding = table.padding_idx

    def place(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (places(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "input": places(kwargs["input"])}

    at = None if padding is None else int(places(torch.as_tensor(padding, device=places.used.device)))
    table.padding_idx = None if at == -1 else at
    handle = table.register_forward_pre_hook(place, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
        table.padding_idx = padding


@contextlib.contextmanager
def embedding_rows(table: nn.Module, places: Places) -> Iterator[None]:
    """An embedding with the used rows alone within, called with token ids as ever; whole again afterwards.

    Args:
        table: an embedding; any other module is left alone.
        places: of all tokens that it is called with.
    """
    if not isinstance(table, nn.Embedding) or not table.weight.requires_grad:
        yield
        return
    whole = table.weight
    table.weight = nn.Parameter(whole.detach()[places.used].clone())
    try:
        with _placed(table, places):
            yield
    finally:
        with torch.no_grad():
            whole[places.used] = table.weight
        table.weight = whole


@contextlib.contextmanager
def output_rows(layer: nn.Linear, places: Places) -> Iterator[None]:
    """A linear layer with the outputs of the used tokens alone within; whole again afterwards."""
    weight, bias = layer.weight, layer.bias
    layer.weight = nn.Parameter(weight.detach()[places.used].clone())
    layer.bias = nn.Parameter(bias.detach()[places.used].clone())
    try:
        yield
    finally:
        with torch.no_grad():
            weight[places.used], bias[places.used] = layer.weight, layer.bias
        layer.weight, layer.bias = weight, bias
