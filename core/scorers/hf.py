"""Any sequence classifier of transformers as a scorer, from the hub or a folder: safetensors only, and no code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DetoxbenchError, unknown
from .base import Scores, check_language
from .classifier import ACTIVATIONS, WindowedClassifier, files_sha256
from .spec import parse

TOXIC_LABELS = ("toxic", "toxicity")
"""Taken where no label is chosen."""

DTYPES = ("float32", "bfloat16", "float16")
FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What is fetched from the hub: no weights that would be unpickled, and no code."""


def one_of(*allowed: str) -> Any:
    """A conversion for ``parse``."""

    def convert(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"allowed are {', '.join(allowed)}")
        return str(value)

    return convert


def positive(value: Any) -> int:
    """A conversion for ``parse``."""
    if not str(value).isdigit() or int(value) < 1:
        raise ValueError("a number of tokens of at least 1")
    return int(value)


RUNNING = {"device": str, "dtype": one_of(*DTYPES), "window": positive, "batch_tokens": positive}
"""Options that say how a classifier runs."""


def fetch(model: str, revision: str | None) -> tuple[Path, str | None]:
    """The folder of a model, and its commit on the hub; None for a local one.

    Raises:
        DetoxbenchError: if there is no such folder or model, or its weights are not safetensors.
    """
    folder, commit = Path(model).expanduser(), None
    if not folder.is_dir():
        if model.startswith(("/", ".", "~")) or model.count("/") > 1:
            raise DetoxbenchError(f"scorer 'hf:{model}': there is no such folder; give a folder or a model on the hub")
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(model, revision=revision, allow_patterns=list(FILES)))
        except Exception as error:  # a dozen kinds, from no network to a gated model
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DetoxbenchError(f"scorer 'hf:{model}': cannot be fetched from the hub: {line}") from None
        commit = folder.name
    elif revision is not None:
        raise DetoxbenchError(f"scorer 'hf:{model}': revision={revision} is for models on the hub; this is a folder")
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise DetoxbenchError(
            f"scorer 'hf:{model}': needs a config.json and weights as .safetensors; other weights are not loaded, "
            "since unpickling them can run code. Convert them with save_pretrained."
        )
    return folder, commit


def load_classifier(folder: Path, name: str) -> tuple[Any, Any]:
    """Model and fast tokenizer.

    Raises:
        DetoxbenchError: if it has no classification head, needs its own code, or has no fast tokenizer.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DetoxbenchError(f"scorer '{name}': cannot be loaded: {line}") from None
    absent = sorted(info["missing_keys"])
    if absent:
        # transformers would make them up at random.
        raise DetoxbenchError(
            f"scorer '{name}': is not a trained classifier: it has no weights for {', '.join(absent[:3])}"
        )
    if not tokenizer.is_fast:
        raise DetoxbenchError(f"scorer '{name}': has no fast tokenizer, which long texts are cut with")
    return model, tokenizer


def activation_of(config: Any) -> str:
    """How logits become probabilities, by the kind of problem that the configuration names.

    Raises:
        DetoxbenchError: for a regression, whose outputs are no probabilities.
    """
    if config.problem_type == "regression":
        raise DetoxbenchError("the model is a regression: choose activation=sigmoid if its output is a logit")
    multiple = config.problem_type == "multi_label_classification"
    return "sigmoid" if multiple or config.num_labels == 1 else "softmax"


def choose_label(name: str, labels: Sequence[str], wanted: str | None) -> str:
    """The label with that name, in any case of letters; without one, the only label or the one called toxic.

    Raises:
        DetoxbenchError: listing the labels.
    """
    if wanted is not None:
        for label in labels:
            if wanted in (label, label.casefold()) or wanted.casefold() == label.casefold():
                return label
        raise unknown(f"label of scorer '{name}'", wanted, labels)
    toxic = [label for label in labels if label.casefold() in TOXIC_LABELS]
    if len(labels) == 1 or len(toxic) == 1:
        return (toxic or list(labels))[0]
    raise DetoxbenchError(
        f"scorer '{name}': say which label is the toxic one, with {name},label=…: its labels are {', '.join(labels)}"
    )


class HFScorer:
    """``hf:<model>,label=toxic``: the probability of a label.

    Options: ``label`` (by name; may be left out if it is ``toxic`` or ``toxicity``), ``revision`` (on the hub),
    ``activation`` (``softmax`` or ``sigmoid``, where the configuration does not say), ``dtype``, ``device``, ``window``
    (tokens), ``batch_tokens``.

    The attributes of a multi-label model are all its labels, the chosen one first; of a single-label one, the chosen.
    The model is loaded when it is first needed; ``version`` is its commit on the hub, the sha256 of its weights, and a
    digest of its configuration, tokenizer and settings.
    """

    direction = "higher"
    languages: frozenset[str] | None = None

    def __init__(
        self,
        model: str,
        *,
        label: str | None = None,
        revision: str | None = None,
        activation: str | None = None,
        **running: Any,
    ):
        chosen = {"label": label, "revision": revision, "activation": activation}
        chosen |= {option: running.get(option) for option in ("dtype", "window")}
        self.name = f"hf:{model}" + "".join(f",{name}={value}" for name, value in chosen.items() if value is not None)
        self.folder, self.revision = fetch(model, revision)
        self._wanted, self._activation, self._running = label, activation, running
        self._config = self._read_config()
        self.label = choose_label(self.name, self.labels, label)
        self.activation = activation or activation_of(self._config)
        others = [name for name in self.labels if name != self.label] if self.activation == "sigmoid" else []
        self.attributes: tuple[str, ...] = (self.label, *others)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> HFScorer:
        """See the class.

        Raises:
            DetoxbenchError: for an unknown option or label, or a model that cannot be used.
        """
        allowed = {"label": str, "revision": str, "activation": one_of(*ACTIVATIONS), **RUNNING}
        (model,), given = parse("hf", argument, options, arguments=("model",), options=allowed)
        return cls(model, **given)

    def _read_config(self) -> Any:
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(self.folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise DetoxbenchError(f"scorer '{self.name}': {str(error).strip().splitlines()[0]}") from None

    @property
    def labels(self) -> list[str]:
        """Names of the model's outputs, in order."""
        return [str(self._config.id2label[place]) for place in range(self._config.num_labels)]

    @cached_property
    def classifier(self) -> WindowedClassifier:
        model, tokenizer = load_classifier(self.folder, self.name)
        return WindowedClassifier(model, tokenizer, activation=self.activation, **self._running)

    @property
    def version(self) -> str:
        return self._version

    @cached_property
    def _version(self) -> str:
        weights = files_sha256(self.folder.glob("*.safetensors"))
        rest = files_sha256(
            path for pattern in FILES if pattern != "*.safetensors" for path in self.folder.glob(pattern)
        )
        settings = hashlib.sha256(f"{rest} {self.classifier.settings}".encode()).hexdigest()[:12]
        return f"{self.revision or 'local'} weights-sha256:{weights} settings:{settings}"

    def score(self, texts: Sequence[str], lang: str) -> Scores:
        """Probabilities of the labels; an empty text has none."""
        check_language(self, lang)
        empty = [not text.strip() for text in texts]
        values = {name: np.full(len(texts), np.nan) for name in self.attributes}
        places = [place for place, nothing in enumerate(empty) if not nothing]
        scores = self.classifier.probabilities([texts[place] for place in places])
        for name in self.attributes:
            values[name][places] = scores[:, self.labels.index(name)]
        reasons: list[str | None] = ["empty text" if nothing else None for nothing in empty]
        for place in places:
            if np.isnan(values[self.label][place]):
                reasons[place] = "the model's output is not a number"
        return Scores(values, reasons)
