"""Texts that people have labelled, to measure scorers by: one file a set, from the hub or a copy of one's own."""

from .base import LabelSet, Request
from .registry import SETS, load

__all__ = ["SETS", "LabelSet", "Request", "load"]
