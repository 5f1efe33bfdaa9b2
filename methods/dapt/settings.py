"""Settings of domain-adaptive training."""

from __future__ import annotations

NAME = "dapt"
"""Of the folder that the fit makes."""
DEFAULTS = {"epochs": 3.0, "learning_rate": 5e-5}
