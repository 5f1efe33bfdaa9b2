"""Toxicity scorers, one file each: ``load("mini")``, ``load("hf:<model>")``."""

from .base import Scorer, Scores, check_language, supports
from .loading import check, load

__all__ = ["Scorer", "Scores", "check", "check_language", "load", "supports"]
