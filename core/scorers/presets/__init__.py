"""Named, pinned scorers as data: what each published classifier or guard model is, and how it is asked.

A preset's name is a scorer's name: ``--scorer textdetox`` is one exact thing.
"""

from .read import classifiers, guards, named, names, spec_of
from .schema import Ask, Classifier, Guard, Label, Message, Preset, Step, Variant

__all__ = [
    "Ask",
    "Classifier",
    "Guard",
    "Label",
    "Message",
    "Preset",
    "Step",
    "Variant",
    "classifiers",
    "guards",
    "named",
    "names",
    "spec_of",
]
