"""The metrics, one file a theme: numbers of one prompt in, numerator and denominator out."""

from . import diversity, fluency, language, toxicity
from .base import Fraction, Metric

METRICS: dict[str, Metric] = {
    metric.name: metric for module in (toxicity, fluency, diversity, language) for metric in module.METRICS
}

__all__ = ["METRICS", "Fraction", "Metric"]
