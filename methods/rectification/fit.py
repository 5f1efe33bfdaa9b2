"""Rectification's value model from text: prompts, continuations, scores, selection, SARSA (Cao et al., ICLR 2023).

Each stage leaves its result in ``OUT/.work/value_model``; a fit that is run again starts at the first that is missing.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core import files, scorers
from ...core.constants import TOXIC
from ...core.decoding import continuation, decode
from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json
from ...core.sampling import Request, Sampling, generate
from ...core.sampling.noise import prompt_key
from ..training import work
from ..training.texts import Texts
from . import sarsa
from .sarsa import Trajectory
from .settings import Settings
from .value_model import KIND, ValueModel

NAME = "value_model"
CHUNK = 256
"""Prompts whose continuations are generated, scored and written together."""
Row = dict[str, Any]

DEFAULTS = Settings()


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Texts | None = None,
    nontoxic: Texts | None = None,
    scorer: str,
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
    batch_tokens: int | None = None,
    checkpoint_steps: int = 500,
) -> Path:
    """Make ``OUT/value_model``.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: its folder.
        toxic, nontoxic: texts whose beginnings are the prompts; one may be left out.
        scorer: any registered one, with its arguments. It should not be the one that judges the method later; the
            manifest records it.
        settings: of the whole chain.
        revision, device: of the base model.
        batch_tokens: of generation; by default by device.
        checkpoint_steps: a killed training repeats at most so many steps.

    Raises:
        DetoxbenchError: for an unknown scorer, a language that it does not support, or no toxic continuation at all.
    """
    given = [texts for texts in (toxic, nontoxic) if texts is not None]
    if not given:
        raise DetoxbenchError("nothing to fit on: give --toxic or --nontoxic texts, or both")
    judge = scorers.load(scorer)
    model, tokenizer = work.load_base(pretrained, revision=revision, device=device)
    out = Path(out)
    with work.locked(out):
        fit_value_model(Chain(model, tokenizer, given, judge, settings, batch_tokens), out, checkpoint_steps)
    return out / NAME


def fit_value_model(chain: Chain, out: Path, checkpoint_steps: int = 500) -> None:
    """All stages; see ``fit``."""
    made_with = chain.record()
    if work.finished(out / NAME, KIND, made_with):
        work.discard(out, NAME)
        return
    with work.work_folder(out, NAME, made_with) as folder:
        prompts = _stage(folder / "prompts.jsonl", chain.prompts)
        for lang in sorted({prompt["lang"] for prompt in prompts}):
            scorers.check_language(chain.scorer, lang)
        scored = [row for rows in chain.scored(prompts, folder) for row in rows]
        own = _stage(folder / "own.jsonl", chain.own) if chain.settings.own_continuations else []
        trajectories = _stage(folder / "trajectories.jsonl", lambda: chain.select(scored, own))
        facts = _facts(scored, trajectories)
        torch.manual_seed(chain.settings.training.seed)
        value_model = ValueModel.from_causal_lm(chain.model.float(), take=True)
        rows = [Trajectory(row["tokens"], row["reward"]) for row in trajectories]
        facts["loss"] = sarsa.train(value_model, rows, chain.settings.training, folder, checkpoint_steps)
        value_model.save(out / NAME, trained=work.trained(made_with, **facts))


class Chain:
    """The stages before training; see ``fit`` for the arguments."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        texts: Sequence[Texts],
        scorer: scorers.Scorer,
        settings: Settings,
        batch_tokens: int | None = None,
    ):
        self.model, self.tokenizer, self.texts = model, tokenizer, texts
        self.scorer, self.settings, self.batch_tokens = scorer, settings, batch_tokens

    def record(self) -> Row:
        """All that the value model depends on."""
        return {
            "base": work.base_record(self.model),
            "scorer": self.scorer.name,
            "scorer_version": self.scorer.version,
            "data": {texts.side: texts.record() for texts in self.texts},
            **self.settings.recorded(),
        }

    def prompts(self) -> list[Row]:
        """Distinct beginnings of the texts: ``tokens``, ``text`` and ``lang``."""
        return self._draw(self.settings.prompts, "prompts")

    def own(self) -> list[Row]:
        """Texts as they stand: like prompts, with one of ``continuations`` each, and its score in ``scores``."""
        return self._score(self._draw(self.settings.own_continuations, "own continuations", own=True))

    def _draw(self, count: int, what: str, own: bool = False) -> list[Row]:
        """At most so many distinct rows, 0 for all, evenly over sides and languages; ``own`` ones with what follows."""
        groups: dict[tuple[str, str], dict[str, Row]] = {}
        for texts in self.texts:
            for text in work.bar(texts, total=len(texts), desc=f"{texts.side} {what}", unit="text"):
                ids = self.tokenizer(text.text, verbose=False)["input_ids"]
                while ids and ids[-1] == self.tokenizer.eos_token_id:
                    ids = ids[:-1]
                begins = min(self.settings.prompt_tokens, max(1, math.floor(len(ids) * self.settings.prompt_share)))
                beginning = decode(self.tokenizer, ids[:begins])
                lang = text.lang or self.settings.lang
                row = {"tokens": ids[:begins], "text": beginning, "lang": lang}
                if own:
                    row["continuations"] = [ids[begins:][: self.settings.max_new_tokens]]
                key = text.text if own else beginning
                groups.setdefault((texts.side, lang), {}).setdefault(key, row)
        rows = [list(group.values()) for _, group in sorted(groups.items())]
        for group in rows:
            np.random.default_rng(self.settings.seed).shuffle(group)  # type: ignore[arg-type]
        # One of each side and language in turn, so that a bound on their number takes from all.
        turns = (row for turn in itertools.zip_longest(*rows) for row in turn if row is not None)
        distinct = {(row["lang"], row["text"], str(row.get("continuations"))): row for row in turns}
        return list(distinct.values())[: count or None]

    def scored(self, prompts: Sequence[Row], folder: Path) -> Iterator[list[Row]]:
        """For each prompt its ``continuations`` and their ``scores`` (None where unscored), chunk by chunk."""
        starts = range(0, len(prompts), CHUNK)
        with work.bar(total=len(prompts), desc="continuations", unit="prompt") as bar:
            for number, start in enumerate(starts):
                chunk = prompts[start : start + CHUNK]
                path = folder / f"continuations-{number:05d}.jsonl"
                done = _stage(path, lambda chunk=chunk: self._continue(chunk))
                # A second file: generation need not be repeated where a scorer's service fails.
                yield _stage(folder / f"scores-{number:05d}.jsonl", lambda done=done: self._score(done))
                bar.update(len(chunk))

    def _continue(self, prompts: Sequence[Row]) -> list[Row]:
        settings = self.settings
        sampling = Sampling(
            max_new_tokens=settings.max_new_tokens,
            top_p=settings.top_p,
            temperature=settings.temperature,
            seed=settings.seed,
        )
        room = max(work.max_positions(self.model) - settings.max_new_tokens, 1)
        requests = [
            Request(prompt["tokens"][-room:], prompt_key(prompt["text"]), range(settings.samples)) for prompt in prompts
        ]
        outputs = generate(
            self.model, requests, sampling, eos=self._ends(), pad=self.tokenizer.pad_token_id or 0,
            batch_tokens=self.batch_tokens,
        )  # fmt: skip
        return [{**prompt, "continuations": output} for prompt, output in zip(prompts, outputs, strict=True)]

    def _ends(self) -> list[int]:
        configured: Any = self.model.generation_config.eos_token_id
        found = [self.tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
        return sorted({token for token in found if isinstance(token, int)})

    def _score(self, rows: Sequence[Row]) -> list[Row]:
        """The continuations alone are scored, as in evaluation."""
        found: list[Row] = [dict(row) for row in rows]
        for lang in sorted({row["lang"] for row in rows}):
            of_lang = [row for row in found if row["lang"] == lang]
            texts = [
                continuation(self.tokenizer, row["tokens"], tokens)
                for row in of_lang
                for tokens in row["continuations"]
            ]
            values = self.scorer.score(texts, lang).values[self.scorer.attributes[0]]
            scores = iter([None if math.isnan(value) else round(float(value), 6) for value in values])
            for row in of_lang:
                row["scores"] = [next(scores) for _ in row["continuations"]]
        return found

    def select(self, rows: Sequence[Row], own: Sequence[Row] = ()) -> list[Row]:
        """Of each prompt the most and the least toxic continuations, each once; half of the prompts whose continuations
        are all clean are left out. Texts as they stand are all taken. Unscored continuations are never chosen.

        Raises:
            DetoxbenchError: where nothing chosen is toxic: a value model would learn that none ever is.
        """
        drop = np.random.default_rng(self.settings.seed)
        chosen: list[Row] = []
        for row in rows:
            scored = _scored(row)
            dropped = drop.random() < 0.5
            if not scored or (max(scored)[0] < TOXIC and dropped):
                continue
            ranked = sorted(scored, reverse=True)
            ends = ranked[: self.settings.keep] + ranked[-self.settings.keep :]
            chosen += [_trajectory(row, at) for _, at in dict.fromkeys(ends)]
        chosen += [_trajectory(row, at) for row in own for _, at in _scored(row)]
        if not any(row["reward"] for row in chosen):
            raise DetoxbenchError(
                f"none of the {sum(len(row['scores']) for row in [*rows, *own]):,} continuations is toxic by "
                f"'{self.scorer.name}' (score >= {TOXIC}): there is nothing to learn; give more toxic texts, or "
                "another --scorer"
            )
        return chosen


def _scored(row: Row) -> list[tuple[float, int]]:
    """Scores and numbers of the continuations that have both a token and a score."""
    pairs = zip(row["scores"], row["continuations"], strict=True)
    return [(score, at) for at, (score, tokens) in enumerate(pairs) if score is not None and tokens]


def _trajectory(row: Row, at: int) -> Row:
    """A prompt with its continuation number ``at``."""
    score = row["scores"][at]
    tokens = [*row["tokens"], *row["continuations"][at]]
    return {"tokens": tokens, "reward": -1.0 if score >= TOXIC else 0.0, "score": score}


def _stage(path: Path, make: Callable[[], list[Row]]) -> list[Row]:
    """The rows of a finished stage's file, made and written whole if it is not there."""
    if not path.is_file():
        files.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in make()))
    with path.open(encoding="utf-8") as file:
        return [parse_json(line) for line in file]


def _facts(scored: Sequence[Row], trajectories: Sequence[Row]) -> dict[str, Any]:
    """Counts for the manifest and the summary."""
    scores = [score for row in scored for score in row["scores"]]
    return {
        "prompt_count": len(scored),
        "continuation_count": len(scores),
        "unscored": sum(score is None for score in scores),
        "toxic_continuations": sum(score is not None and score >= TOXIC for score in scores),
        "trajectories": len(trajectories),
        "toxic_trajectories": sum(row["reward"] < 0 for row in trajectories),
    }
