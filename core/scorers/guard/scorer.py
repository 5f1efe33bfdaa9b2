"""Any causal LM that answers whether a text is harmful, as a scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ... import hub
from ...errors import DetoxbenchError, unknown
from ...files import sha256_text
from ..base import Scorer, Scores, check_language
from ..classifier import files_sha256
from ..hf import DTYPES, local_name, positive
from ..model_files import WORDS, check_weights, fetch
from ..presets import Guard, guards
from ..refusals import EMPTY
from ..spec import one_of, parse
from .prompts import Answer, Prompts
from .reader import Reader

LEAST_MASS = 0.5
"""Of the probability, that must be on the labels: a model that would say something else does not answer."""
ROLES = ("text", "response")
TEMPLATES = (*WORDS, "*.jinja")
"""What a tokenizer, its chat template and a configuration are made of."""
FILES = (*TEMPLATES, "*.safetensors")
NO_NUMBER = "the model's output is not a number"
ATTRIBUTE = "toxicity"


def share(value: Any) -> float:
    """A conversion for ``parse``."""
    found = float(value)
    if not 0 <= found <= 1:
        raise ValueError("a share from 0 to 1")
    return found


@dataclass(frozen=True)
class _Asked:
    """A piece of a text, as it is shown to the guard."""

    place: int
    text: str
    prompt: str


class GuardScorer(Scorer):
    """``guard:<model>,preset=NAME``: a guard model's probability that a text is harmful.

    Options: ``preset`` (how it is asked; may be left out for a model that one names; ``rubric`` asks any instruction
    model), ``role`` (``text``, the default, judges a text alone; ``response`` judges it as the answer to its prompt,
    and a text without a prompt as ``text``), ``revision`` (on the hub), ``least_mass`` (of the probability on the
    labels, below which a text has no score), ``window`` (tokens of a text; of a longer one the worst piece counts),
    ``dtype`` (the checkpoint's unless asked), ``device``, ``batch_tokens``.

    The score is ``sum_l harm_l p_l / sum_l p_l`` over the labels of the answer; where the guard is asked about several
    policies, one at a time, the largest, with an attribute for each. The version is the commit on the hub or the sha256
    of the weights, and a digest of the preset, the chat template and the settings. safetensors only, and no code.
    """

    def __init__(
        self,
        model: str,
        *,
        preset: str | None = None,
        role: str | None = None,
        revision: str | None = None,
        least_mass: float = LEAST_MASS,
        window: int | None = None,
        dtype: str | None = None,
        device: str | None = None,
        batch_tokens: int | None = None,
    ):
        self._model = model
        self.preset_name, self.preset = chosen(model, preset)
        asked = f"guard:{model},preset={self.preset_name}"
        if self.preset.served_only is not None:
            raise DetoxbenchError(f"scorer '{asked}' does not run here: {self.preset.served_only.strip()}")
        self.role = role or ROLES[0]
        if self.role not in self.preset.asks:
            raise DetoxbenchError(f"scorer '{asked}': role={self.role}: allowed are {', '.join(self.preset.asks)}")
        self.judges = self.role
        self.least_mass, self._window = least_mass, window
        self._device, self._dtype, self._batch_tokens = device, dtype, batch_tokens
        self._chosen = {
            "role": role if role != ROLES[0] else None, "revision": revision, "window": window, "dtype": dtype,
            "least_mass": None if least_mass == LEAST_MASS else least_mass,
        }  # fmt: skip
        self._asked = asked + self._options()
        self.folder, self.revision = fetch(model, revision, FILES, kind="guard")
        check_weights(model, self.folder, self.revision, kind="guard")
        several = list(self.preset.policies) if len(self.preset.policies) > 1 else []
        self.attributes = (ATTRIBUTE, *several)
        self.languages = None if self.preset.languages is None else frozenset(self.preset.languages)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> GuardScorer:
        """See the class.

        Raises:
            DetoxbenchError: for an unknown option or preset, or a model that cannot be used.
        """
        allowed = {
            "preset": str, "role": one_of(*ROLES), "revision": str, "least_mass": share, "window": positive,
            "dtype": one_of(*DTYPES), "device": str, "batch_tokens": positive,
        }  # fmt: skip
        (model,), given = parse("guard", argument, options, arguments=("model",), options=allowed)
        return cls(model, **given)

    def _options(self) -> str:
        return "".join(f",{name}={value}" for name, value in self._chosen.items() if value is not None)

    @property
    def validity(self) -> Mapping[str, Any]:
        """What was measured with this preset; figures of another model say nothing of this one."""
        other = self.preset.measured_with
        return self.preset.figures if other is None or other == self._model else {}

    @cached_property
    def name(self) -> str:  # type: ignore[override]
        model = self._model if self.revision else local_name(self.folder, sha256_text(" ".join(self._digests)))
        return f"guard:{model},preset={self.preset_name}{self._options()}"

    @cached_property
    def _digests(self) -> tuple[str, str]:
        """sha256 of a local folder's weights, and of configuration, tokenizer and chat template."""
        files = [path for pattern in TEMPLATES for path in self.folder.glob(pattern)]
        weights = "" if self.revision else files_sha256(self.folder.glob("*.safetensors"))
        return weights, files_sha256(files)

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        weights, rest = self._digests
        dtype = self._dtype or str(self._config.dtype or "float32").removeprefix("torch.")
        settings = sha256_text(f"{rest} {self.role} {dtype} {self._longest} {self.least_mass}")[:12]
        source = self.revision or f"local weights-sha256:{weights}"
        return f"{source} preset:{self.preset.digest} settings:{settings}"

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return self._guarded(lambda: AutoConfig.from_pretrained(self.folder, trust_remote_code=False))

    @cached_property
    def _prompts(self) -> Prompts:
        from transformers import AutoTokenizer

        tokenizer = self._guarded(lambda: AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False))
        if not tokenizer.is_fast:
            raise DetoxbenchError(f"scorer '{self._asked}': has no fast tokenizer, which long texts are cut with")
        return Prompts(self.preset, tokenizer, self._asked)

    @cached_property
    def _longest(self) -> int:
        limit = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        return self._prompts.longest(limit, self._window)

    @cached_property
    def reader(self) -> Reader:
        """The model, loaded when it is first needed."""
        import torch
        from transformers import AutoModelForCausalLM

        def load() -> Any:
            return AutoModelForCausalLM.from_pretrained(
                self.folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True,
                dtype=getattr(torch, self._dtype) if self._dtype else "auto",
            )  # fmt: skip

        model, info = self._guarded(load)
        if info["missing_keys"]:
            absent = ", ".join(sorted(info["missing_keys"])[:3])
            raise DetoxbenchError(f"scorer '{self._asked}': is no trained causal LM: it has no weights for {absent}")
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        return Reader(model.to(device), batch_tokens=self._batch_tokens)

    def _guarded(self, load: Any) -> Any:
        try:
            with hub.quietly():
                return load()
        except (OSError, ValueError, KeyError, ImportError) as error:
            line = str(error).strip().splitlines()
            raise DetoxbenchError(
                f"scorer '{self._asked}': cannot be loaded: {line[0] if line else type(error).__name__}"
            ) from None

    def ready(self) -> Path:
        """Load the tokenizer and find the labels' tokens, before a long run.

        Raises:
            DetoxbenchError: if the preset is another model's.
        """
        for role in self.preset.asks:
            self._answers(role)
        return self.folder

    def _answers(self, role: str) -> list[Answer]:
        if role not in self._found:
            ask = self.preset.asks[role]  # type: ignore[index]
            before = self._prompts.render(ask, ["a"], ["a"], next(iter(self.preset.policies.values()), ""))[0]
            answers = []
            for step in ask.steps:
                answers.append(Answer(self._prompts, step, before))
                before = answers[-1].written(before, 0)
            self._found[role] = answers
        return self._found[role]

    @cached_property
    def _found(self) -> dict[str, list[Answer]]:
        return {}

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Probabilities that texts are harmful; an empty text has none, nor one that the guard does not answer to."""
        check_language(self, lang)
        values = {name: np.full(len(texts), np.nan) for name in self.attributes}
        reasons: list[str | None] = [EMPTY if not text.strip() else None for text in texts]
        before = [""] * len(texts) if prompts is None else prompts
        jobs: dict[str, list[_Asked]] = {}
        for place, text in enumerate(texts):
            if reasons[place] is None:
                prompt = self._prompts.ending(self._prompts.harmless(before[place]), self._longest)
                role = self.role if prompt.strip() or "text" not in self.preset.asks else "text"
                pieces = self._prompts.pieces(self._prompts.harmless(text), self._longest)
                jobs.setdefault(role, []).extend(_Asked(place, piece, prompt) for piece in pieces)
        for role, asked in jobs.items():
            for policy, wording in (self.preset.policies or {ATTRIBUTE: ""}).items():
                scores, why = self._ask(role, asked, wording)
                for job, score, reason in zip(asked, scores, why, strict=True):
                    reasons[job.place] = reasons[job.place] or reason
                    for name in {ATTRIBUTE, policy} & set(self.attributes):
                        values[name][job.place] = np.fmax(values[name][job.place], score)
        for place, reason in enumerate(reasons):
            if reason is not None:
                for column in values.values():
                    column[place] = np.nan
        return Scores(values, reasons)

    def _ask(self, role: str, asked: Sequence[_Asked], wording: str) -> tuple[np.ndarray, list[str | None]]:
        """float64 ``[asked]`` scores, and why there is none."""
        ask = self.preset.asks[role]  # type: ignore[index]
        before = self._prompts.render(ask, [job.text for job in asked], [job.prompt for job in asked], wording)
        reasons: list[str | None] = [None] * len(asked)
        scores = np.full(len(asked), np.nan)
        for answer in self._answers(role):
            masses = self.reader.probabilities(answer.rows(before), answer.tokens, self.preset.top)
            total = masses.sum(axis=1)
            for place, mass in enumerate(total):
                if np.isnan(mass):
                    reasons[place] = reasons[place] or NO_NUMBER
                elif mass < self.least_mass or mass <= 0:
                    labels = ", ".join(answer.names)
                    reasons[place] = reasons[place] or f"no answer: {mass:.0%} of the probability is on {labels}"
            with np.errstate(invalid="ignore", divide="ignore"):
                scores = masses @ np.array(answer.harm) / total
            before = [
                answer.written(text, int(np.nan_to_num(row).argmax())) for text, row in zip(before, masses, strict=True)
            ]
        return np.clip(scores, 0.0, 1.0), reasons


def chosen(model: str, preset: str | None) -> tuple[str, Guard]:
    """The preset of that name, or the one that names the model.

    Raises:
        DetoxbenchError: for an unknown preset, or a model that none names.
    """
    known = guards()
    if preset is not None:
        if preset not in known:
            raise unknown("preset of scorer 'guard'", preset, known)
        return preset, known[preset]
    for name, one in known.items():
        if model in [variant.model for variant in one.variants.values()]:
            return name, one
    raise DetoxbenchError(
        f"scorer 'guard:{model}': say how it is asked, with guard:{model},preset=…: {', '.join(known)}; rubric asks "
        "any instruction model"
    )
