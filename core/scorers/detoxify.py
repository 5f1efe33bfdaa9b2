"""Unitary's Detoxify models, by their own package or from a local checkpoint."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from ..errors import DetoxbenchError, missing_extra, unknown
from ..files import local_name, sha256
from ..folders import expanded
from .base import Scorer, Scores, check_language
from .classifier import WindowedClassifier, files_sha256, state_sha256
from .hf import RUNNING, load_classifier
from .model_files import FILES
from .spec import parse

LANGUAGES = {
    "original": frozenset({"en"}),
    "unbiased": frozenset({"en"}),
    "multilingual": frozenset("en es fr it pt ru tr".split()),
}
RENAMED: dict[str, str] = {"toxic": "toxicity", "severe_toxic": "severe_toxicity", "identity_hate": "identity_attack"}
"""Classes of the original model, by the names of the others."""

_SHARED = ("toxicity", "severe_toxicity", "obscene")
ATTRIBUTES = {
    "original": (*_SHARED, "threat", "insult", "identity_attack"),
    "unbiased": (*_SHARED, "identity_attack", "insult", "threat", "sexual_explicit"),
    "multilingual": (*_SHARED, "identity_attack", "insult", "threat", "sexual_explicit"),
}
"""In the order of the models' outputs; those after these are identities mentioned, and no toxicity."""


class DetoxifyScorer(Scorer):
    """``detoxify:original``, ``detoxify:unbiased`` or ``detoxify:multilingual``.

    Options: ``checkpoint``, a folder that ``save_pretrained`` wrote (safetensors), for which the package is not
    needed, or a checkpoint file of Detoxify's; ``config``, a folder with the configuration and tokenizer for such a
    file; and ``device``, ``dtype``, ``window``, ``batch_tokens`` as for ``hf:``.

    The package's own ``predict`` cuts long texts off; here they are scored in windows. Checkpoints are loaded as
    weights only: nothing is unpickled.
    """

    def __init__(self, kind: str, *, checkpoint: str | None = None, config: str | None = None, **running: Any):
        if kind not in ATTRIBUTES:
            raise unknown("Detoxify model", kind, ATTRIBUTES)
        self.kind = kind
        self._asked = f"detoxify:{kind}" + (f",checkpoint={checkpoint}" if checkpoint else "")
        self.former_names = (self._asked,) if checkpoint else ()
        self.attributes = ATTRIBUTES[kind]
        self.languages = LANGUAGES[kind]
        self._checkpoint = expanded(checkpoint) if checkpoint else None
        self._config, self._running = config, running
        if self._checkpoint is not None and not self._checkpoint.exists():
            raise DetoxbenchError(f"scorer '{self._asked}': there is no such file or folder")
        if self._checkpoint is None or self._checkpoint.is_file():
            self._package()

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> DetoxifyScorer:
        """See the class.

        Raises:
            DetoxbenchError: for an unknown model or option, without the package where it is needed, or without the
                checkpoint.
        """
        allowed = {"checkpoint": str, "config": str, **RUNNING}
        (kind,), given = parse(
            "detoxify", argument, options, arguments=("original|unbiased|multilingual",), options=allowed
        )
        return cls(kind, **given)

    def _package(self) -> Any:
        try:
            return importlib.import_module("detoxify.detoxify")
        except ImportError:
            raise missing_extra("detoxify", "detoxify", f"scorer '{self._asked}'") from None

    def _download(self, package: Any) -> Path:
        """The released checkpoint, checked against the hash in its name, in torch's own cache."""
        import torch

        url = package.MODEL_URLS[self.kind]
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2], progress=False)
            except (OSError, RuntimeError) as error:
                raise DetoxbenchError(f"scorer '{self._asked}': the checkpoint cannot be fetched: {error}") from None
        return path

    @cached_property
    def _loaded(self) -> tuple[WindowedClassifier, list[str]]:
        """The classifier, and the names of its outputs."""
        if self._checkpoint is not None and self._checkpoint.is_dir():
            model, tokenizer = load_classifier(self._checkpoint, self._asked)
            labels = [
                RENAMED.get(str(name), str(name)) for name in dict(sorted(model.config.id2label.items())).values()
            ]
            # Without names of their own, the outputs are in the order of the released models.
            names = labels if "toxicity" in labels else list(self.attributes)
        else:
            package = self._package()
            model, tokenizer, names = self._unpack(package, self._checkpoint or self._download(package))
        if model.config.num_labels < len(self.attributes) or not set(self.attributes) <= set(names):
            raise DetoxbenchError(
                f"scorer '{self._asked}': the checkpoint has {model.config.num_labels} outputs, of which "
                f"detoxify:{self.kind} needs {', '.join(self.attributes)}"
            )
        return WindowedClassifier(model, tokenizer, activation="sigmoid", **self._running), names

    def _unpack(self, package: Any, path: Path) -> tuple[Any, Any, list[str]]:
        """Model, tokenizer and names of outputs of a checkpoint file, as the package puts them together; its own loader
        would unpickle the file."""
        import torch

        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            names = [RENAMED.get(str(name), str(name)) for name in loaded["config"]["dataset"]["args"]["classes"]]
            arch = dict(loaded["config"]["arch"]["args"])
            if self._config is not None:
                arch["model_type"] = self._config
            model, tokenizer = package.get_model_and_tokenizer(**arch, state_dict=loaded["state_dict"])
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DetoxbenchError(f"scorer '{self._asked}': '{path}' is not a checkpoint of Detoxify: {line}") from None
        return model, tokenizer, names

    @cached_property
    def name(self) -> str:  # type: ignore[override]
        """With a local checkpoint, its last part and a digest of what is in it."""
        path = self._checkpoint
        if path is None:
            return f"detoxify:{self.kind}"
        digest = files_sha256(one for pattern in FILES for one in path.glob(pattern)) if path.is_dir() else sha256(path)
        return f"detoxify:{self.kind},checkpoint={local_name(path, digest)}"

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        classifier, _ = self._loaded
        try:
            package = version("detoxify")
        except PackageNotFoundError:
            package = "none"
        return f"detoxify-{package} weights-sha256:{state_sha256(classifier.model)} {classifier.settings}"

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Probabilities of the labels; an empty text has none."""
        check_language(self, lang)
        classifier, names = self._loaded
        places = [place for place, text in enumerate(texts) if text.strip()]
        scores = classifier.probabilities([texts[place] for place in places])
        values = {name: np.full(len(texts), np.nan) for name in self.attributes}
        for name in self.attributes:
            values[name][places] = scores[:, names.index(name)]
        return Scores(values, [None if text.strip() else "empty text" for text in texts])
