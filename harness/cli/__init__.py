"""The command ``detoxbench``: ``commands`` lists the sub-commands, and each has a file of its own name."""

from .commands import main

__all__ = ["main"]
