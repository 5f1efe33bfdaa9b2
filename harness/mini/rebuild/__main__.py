"""``python -m detoxbench.harness.mini.rebuild``: corpus -> scorers, prompts, tokenizer, language model.

Fixed seeds; about an hour on two cores. ``--only scorer``, ``model`` or ``prompts`` makes that part alone.
Languages are those with a folder in ``corpus/``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ....core.constants import MINI
from ....core.fluency import FluencyModel
from ....core.mini import MODEL, PROMPTS, SCORER
from ....core.mini.corpus import Sentence, languages, sentences
from ....core.mini.splits import SHARES, split_of
from ....core.scorers.mini import MiniScorer
from . import language_model, prompts, scorer, tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("scorer", "model", "prompts"))
    parser.add_argument(
        "--from-stage", type=int, default=1, choices=range(1, len(language_model.STAGES) + 1),
        help="keep tokenizer and model as they are and train this stage and those after it",
    )  # fmt: skip
    given = parser.parse_args()
    only = given.only
    corpus = [sentence for lang in languages() for sentence in sentences(lang)]
    print(f"{len(corpus):,} sentences in {len(languages())} languages")
    if only in (None, "scorer"):
        build_scorer(corpus, SCORER)
    if only in (None, "model"):
        MODEL.mkdir(exist_ok=True)
        if given.from_stage == 1:
            tokenizer.train([sentence.text for sentence in corpus], MODEL)
        language_model.train(corpus, MODEL, first=given.from_stage)
    if only in (None, "prompts"):
        build_prompts(PROMPTS)


def build_scorer(corpus: list[Sentence], folder: Path) -> None:
    """Both scorers, and a card with their quality on sentences that neither has seen."""
    folder.mkdir(exist_ok=True)
    parts = {name: [s for s in corpus if split_of(s) == name] for name in SHARES}
    trained = [name for name in SHARES if name != "heldout"]
    card: dict = {"splits": trained, "languages": languages(), "sentences": {k: len(v) for k, v in parts.items()}}
    for name in trained:
        scorer.train(parts[name], folder / f"{name}.safetensors")
    (folder / "card.json").write_text(json.dumps(card))
    card["heldout_auc"] = {name: heldout_auc(MiniScorer(name, folder), parts["heldout"]) for name in trained}
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    for name, by_language in card["heldout_auc"].items():
        print(f"scorer {name}: held-out AUC", by_language)


def heldout_auc(model: MiniScorer, heldout: list[Sentence]) -> dict[str, float]:
    """Area under the ROC curve on unseen sentences, by language."""
    from sklearn.metrics import roc_auc_score

    found = {}
    for lang in languages():
        rows = [s for s in heldout if s.lang == lang]
        scores = model.score([s.text for s in rows], lang).values["toxicity"]
        found[lang] = round(float(roc_auc_score(np.array([s.toxic for s in rows]), scores)), 4)
    return found


def build_prompts(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    judge, model = MiniScorer("judge"), FluencyModel(MINI, "cpu")
    for lang in languages():
        agreed = prompts.write(lang, judge, model, folder)
        print(f"prompts {lang}: {agreed[0]} toxic and {agreed[1]} non-toxic beginnings agree with their score")


if __name__ == "__main__":
    main()
