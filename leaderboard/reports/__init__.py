"""What the gate found: JSON, JUnit XML, GitHub's annotations and summary. All strings in them may be hostile."""

from .annotations import annotate, annotation
from .as_json import json_report
from .junit import junit_report
from .summary import summary
from .text import figure, headline, one_line, sentence, worst

__all__ = [
    "annotate",
    "annotation",
    "figure",
    "headline",
    "json_report",
    "junit_report",
    "one_line",
    "sentence",
    "summary",
    "worst",
]
