"""Settings of gradient ascent."""

from __future__ import annotations

NAME = "gradient_ascent"
"""Of the folder that the fit makes."""
DEFAULTS = {"epochs": 1.0, "learning_rate": 5e-6, "warmup_steps": 0, "max_steps": 200}
