"""A group of commands, one for each registered method that has what the group is about; loaded when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperGroup

from ...core.errors import unknown
from ...core.registry import METHODS


class ByMethod(TyperGroup):
    """Its commands are made from the methods' declarations; a class of it says which.

    Attributes:
        has: whether a method has one.
        make: the method's command.
    """

    has: Callable[[str], bool]
    make: Callable[[str], Any]

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in METHODS if type(self).has(name)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        cmd_name = cmd_name.replace("-", "_")
        if cmd_name not in METHODS or not type(self).has(cmd_name):
            raise unknown(f"method of 'detoxbench {ctx.info_name}'", cmd_name, self.list_commands(ctx))
        return type(self).make(cmd_name)
