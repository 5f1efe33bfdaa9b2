"""Any sequence classifier of transformers as a scorer, from the hub or a folder: safetensors only, and no code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import hub
from ..errors import DetoxbenchError, unknown
from ..files import local_name, sha256_text
from ..folders import expanded
from ..tokenizers import misfit
from . import fitted
from .base import Scorer, Scores, check_language
from .classifier import ACTIVATIONS, WindowedClassifier, files_sha256
from .model_files import WORDS, check_weights, fetch
from .refusals import EMPTY
from .spec import one_of, parse

TOXIC_LABELS = ("toxic", "toxicity")
"""Taken where no label is chosen."""
MAX = "max"
"""As ``label``: the largest of all harmful labels."""
HARMLESS = frozenset(
    "neutral nontoxic nottoxic notoxic nothate nonhate nonhateful nothateful notoffensive nonoffensive inoffensive "
    "safe normal none no ok okay clean benign acceptable other neither appropriate negative "
    "male female transgender othergender heterosexual homosexualgayorlesbian bisexual othersexualorientation christian "
    "jewish muslim hindu buddhist atheist otherreligion black white asian latino otherraceorethnicity "
    "physicaldisability intellectualorlearningdisability psychiatricormentalillness otherdisability".split()
)
"""Names of labels, without anything but letters, that say of no harm: what is fine, and Civil Comments' identities that
a text mentions."""
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model",
)  # fmt: skip
DTYPES = ("float32", "bfloat16", "float16")


def positive(value: Any) -> int:
    """A conversion for ``parse``."""
    if not str(value).isdigit() or int(value) < 1:
        raise ValueError("a number of tokens of at least 1")
    return int(value)


def _languages(value: Any) -> frozenset[str]:
    found = frozenset(tag.strip().lower() for tag in str(value).split("+"))
    if not all(re.fullmatch(r"[a-z]{2,3}", tag) for tag in found):
        raise ValueError("language codes with + between them, such as en+de")
    return found


def _pinned(model: str) -> tuple[str, str | None]:
    """``model@revision``, taken apart; a folder may have an @ in its name."""
    name, _, revision = model.rpartition("@")
    return (model, None) if not name or expanded(model).is_dir() else (name, revision)


RUNNING = {"device": str, "dtype": one_of(*DTYPES), "window": positive, "batch_tokens": positive}
"""Options that say how a classifier runs."""


def load_classifier(folder: Path, name: str, tokenizer: Path | None = None) -> tuple[Any, Any]:
    """Model and fast tokenizer.

    Args:
        folder: of the model.
        name: of the scorer, for messages.
        tokenizer: folder of the tokenizer, where it is another one.

    Raises:
        DetoxbenchError: if it has no classification head, needs its own code, has no fast tokenizer, or one that is not
            the model's.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    words = tokenizer or folder
    if not any((words / file).is_file() for file in TOKENIZER_FILES):
        # transformers would make one up, of the five special tokens alone.
        raise DetoxbenchError(
            f"scorer '{name}': there are no files of a tokenizer in '{words.name}': name the folder or the model on "
            "the hub that has it with tokenizer=…"
        )
    try:
        with hub.quietly():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
        encoder = AutoTokenizer.from_pretrained(words, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise DetoxbenchError(f"scorer '{name}': cannot be loaded: {hub.line_of(error)}") from None
    absent = sorted(info["missing_keys"])
    if absent:
        # transformers would make them up at random.
        raise DetoxbenchError(
            f"scorer '{name}': is not a trained classifier: it has no weights for {', '.join(absent[:3])}"
        )
    if not encoder.is_fast:
        raise DetoxbenchError(f"scorer '{name}': has no fast tokenizer, which long texts are cut with")
    if (why := misfit(encoder, model)) is not None:
        raise DetoxbenchError(f"scorer '{name}': {why}. Name the right one with tokenizer=…")
    return model, encoder


def activation_of(config: Any) -> str:
    """How logits become probabilities, by the kind of problem that the configuration names.

    Raises:
        DetoxbenchError: for a regression, whose outputs are no probabilities, and for labels of which the configuration
            does not say whether they exclude each other.
    """
    if config.problem_type == "regression":
        raise DetoxbenchError("the model is a regression: choose activation=sigmoid if its output is a logit")
    if config.problem_type is not None:
        multiple = config.problem_type == "multi_label_classification"
        return "sigmoid" if multiple or config.num_labels == 1 else "softmax"
    if config.num_labels > 2:
        labels = ", ".join(str(config.id2label[place]) for place in range(config.num_labels))
        raise DetoxbenchError(
            f"the configuration does not say what its {config.num_labels} labels are ({labels}): choose "
            "activation=sigmoid if several can be true of one text, activation=softmax if only one can"
        )
    return "sigmoid" if config.num_labels == 1 else "softmax"


def harmful(labels: Sequence[str]) -> list[str]:
    """The labels that say of a harm, by their names."""
    return [label for label in labels if re.sub(r"[^a-z]", "", label.casefold()) not in HARMLESS]


def choose_label(name: str, labels: Sequence[str], wanted: str | None) -> str:
    """The label with that name, in any case of letters, or at that place; ``max`` for the largest of all harmful ones;
    without one, the only label or the one called toxic.

    Raises:
        DetoxbenchError: listing the labels.
    """
    if wanted is not None:
        for label in labels:
            if wanted in (label, label.casefold()) or wanted.casefold() == label.casefold():
                return label
        if wanted == MAX:
            return MAX
        if wanted.isdecimal() and int(wanted) < len(labels):
            return labels[int(wanted)]
        raise unknown(f"label of scorer '{name}'", wanted, labels)
    toxic = [label for label in labels if label.casefold() in TOXIC_LABELS]
    if len(labels) == 1 or len(toxic) == 1:
        return (toxic or list(labels))[0]
    raise DetoxbenchError(
        f"scorer '{name}': say which label is the toxic one, with {name},label=…: its labels are {', '.join(labels)}; "
        "label=max takes the largest of the harmful ones"
    )


class HFScorer(Scorer):
    """``hf:<model>,label=toxic``: the probability of a label.

    Options: ``label`` (by name or place, or ``max`` for the largest of all harmful ones; may be left out if it is
    ``toxic`` or ``toxicity``), ``revision`` (on the hub), ``tokenizer`` (folder or model on the hub, ``@revision``
    after it, where the model has none), ``activation`` (``softmax`` or ``sigmoid``, where the configuration does not
    say), ``dtype`` (float32 unless asked), ``device``, ``window`` (tokens), ``batch_tokens``, ``languages`` (``en+de``;
    others are then refused).

    The attributes of a multi-label model are all its labels, the chosen one first; of a single-label one, the chosen.
    The model is loaded when it is first needed; ``version`` is its commit on the hub, the sha256 of its weights, and a
    digest of its configuration, tokenizer and settings, ``dtype`` among them. A local folder is called by its last part
    and a digest of what is in it. One that ``detoxbench fit scorer`` made has a card, whose languages, calibration and
    validity are the scorer's.
    """

    def __init__(
        self,
        model: str,
        *,
        label: str | None = None,
        revision: str | None = None,
        activation: str | None = None,
        tokenizer: str | None = None,
        languages: frozenset[str] | None = None,
        **running: Any,
    ):
        self._model, self._tokenizer = model, tokenizer
        self._chosen = {"label": label, "revision": revision, "activation": activation}
        self._chosen |= {option: running.get(option) for option in ("dtype", "window")}
        asked = f"hf:{model}" + self._options()
        self.folder, self.revision = fetch(model, revision)
        check_weights(model, self.folder, self.revision)
        self._words = fetch(*_pinned(tokenizer), WORDS)[0] if tokenizer else None
        self._fitted = fitted.read(self.folder)
        if self._fitted is not None:
            self.card = self._fitted.card
        self.languages = languages or (self._fitted.languages if self._fitted else None)
        self._asked, self._running = asked, running
        self._config = self._read_config()
        self.label = choose_label(asked, self.labels, label)
        try:
            self.activation = activation or activation_of(self._config)
        except DetoxbenchError as error:
            raise DetoxbenchError(f"scorer '{asked}': {error}") from None
        self._columns = self._harmful() if self.label == MAX and MAX not in self.labels else [self.label]
        others = [name for name in self.labels if name != self.label] if self.activation == "sigmoid" else []
        self.attributes = (self.label, *others)
        self.former_names = () if self.revision else (asked,)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> HFScorer:
        """See the class.

        Raises:
            DetoxbenchError: for an unknown option or label, or a model that cannot be used.
        """
        allowed = {
            "label": str, "revision": str, "activation": one_of(*ACTIVATIONS), "tokenizer": str,
            "languages": _languages, **RUNNING,
        }  # fmt: skip
        (model,), given = parse("hf", argument, options, arguments=("model",), options=allowed)
        return cls(model, **given)

    def _options(self) -> str:
        return "".join(f",{name}={value}" for name, value in self._chosen.items() if value is not None)

    def _read_config(self) -> Any:
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(self.folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise DetoxbenchError(f"scorer '{self._asked}': {hub.line_of(error)}") from None

    def _harmful(self) -> list[str]:
        found = harmful(self.labels)
        if self.activation == "softmax" and len(found) == len(self.labels):
            raise DetoxbenchError(
                f"scorer '{self._asked}': label=max: none of {', '.join(self.labels)} is known as harmless, so that "
                "the largest says nothing; name the label"
            )
        if not found:
            raise DetoxbenchError(f"scorer '{self._asked}': label=max: no label of {', '.join(self.labels)} is harmful")
        return found

    @property
    def labels(self) -> list[str]:
        """Names of the model's outputs, in order."""
        return [str(self._config.id2label[place]) for place in range(self._config.num_labels)]

    @cached_property
    def name(self) -> str:  # type: ignore[override]
        model = self._model if self.revision else local_name(self.folder, sha256_text(" ".join(self._digests)))
        words = ""
        if self._words is not None and self._tokenizer is not None:
            local = expanded(self._tokenizer).is_dir()
            known = local_name(self._words, files_sha256(_matching(self._words, WORDS))) if local else self._tokenizer
            words = f",tokenizer={known}"
        return f"hf:{model}{self._options()}{words}"

    @cached_property
    def classifier(self) -> WindowedClassifier:
        model, tokenizer = load_classifier(self.folder, self._asked, self._words)
        return WindowedClassifier(model, tokenizer, activation=self.activation, **self._running)

    @cached_property
    def _digests(self) -> tuple[str, str]:
        """sha256 of the weights, and of the configuration and tokenizer."""
        rest = files_sha256(_matching(self.folder, WORDS))
        if self._words is not None:
            rest += f" tokenizer:{files_sha256(_matching(self._words, WORDS))}"
        return files_sha256(self.folder.glob("*.safetensors")), rest

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        weights, rest = self._digests
        settings = sha256_text(f"{rest} {self.classifier.settings}")[:12]
        return f"{self.revision or 'local'} weights-sha256:{weights} settings:{settings}"

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Probabilities of the labels; an empty text has none."""
        check_language(self, lang)
        empty = [not text.strip() for text in texts]
        values = {name: np.full(len(texts), np.nan) for name in self.attributes}
        places = [place for place, nothing in enumerate(empty) if not nothing]
        scores = self.classifier.probabilities([texts[place] for place in places])
        for name in self.attributes:
            columns = self._columns if name == self.label else [name]
            values[name][places] = scores[:, [self.labels.index(column) for column in columns]].max(axis=1)
        if self._fitted is not None:
            values[self.label] = self._fitted.calibrated(values[self.label], lang)
        reasons: list[str | None] = [EMPTY if nothing else None for nothing in empty]
        for place in places:
            if np.isnan(values[self.label][place]):
                reasons[place] = "the model's output is not a number"
        return Scores(values, reasons)


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return [path for pattern in patterns for path in folder.glob(pattern)]
