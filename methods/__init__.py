"""Detoxification methods, one file each: ``load_detoxified(pretrained, method, **arguments)``."""

from .lm import load_detoxified

__all__ = ["load_detoxified"]
