"""What the gate found, for programs: JSON, JUnit XML, GitHub's annotations. All strings in them may be hostile."""

from .annotations import annotate, annotation
from .as_json import json_report
from .junit import junit_report
from .text import figure, one_line, sentence

__all__ = ["annotate", "annotation", "figure", "json_report", "junit_report", "one_line", "sentence"]
