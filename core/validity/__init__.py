"""What a scorer's numbers are worth, measured against people's judgement."""

from .known import Known, known, sentence
from .labelled import LabelledText
from .split import part_of

__all__ = ["Known", "LabelledText", "known", "part_of", "sentence"]
