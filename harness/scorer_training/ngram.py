"""``detoxbench fit scorer --kind ngram``: logistic regression on hashed n-grams, with soft targets.

Fitted on ``train`` for each penalty, chosen on ``dev`` by the mean AUC over languages, fitted again on both, turned
into probabilities on ``calibration`` and measured on ``test``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.files import new_folder, write_json, write_text
from ...core.scorers import ngram_features
from ...core.scorers.ngram import CARD, FEATURES, KIND, SCHEMA, WEIGHTS, NgramScorer, margins_of
from ...core.validity import split
from ...core.validity.labelled import LabelledText
from . import calibration, cards
from . import examples as data
from .calibration import by_language, calibrate
from .examples import Examples

README = "README.md"
NAMED = 3
"""Characters of an n-gram that can tell a group's name."""


@dataclass(frozen=True)
class Settings:
    """How it is fitted.

    Args:
        penalties: strengths of the L2 penalty to choose from: the weights' sum of squares times half of it.
        share: of a target that comes from the text's translations (``examples.shared``).
        identities: weight of each neutral sentence with a group's name; 0 leaves them out.
        topics: directions in which the translations of one text agree (``topics``); 0 for none.
        common: share of texts up to which an n-gram of a group's name has no weight above 0 (``names``); 0 bounds none.
        least: texts that an n-gram must be in.
        kept: weights that are kept at most, those of the largest size.
        iterations: of L-BFGS at most.
    """

    penalties: tuple[float, ...] = (0.3, 0.1, 0.03)
    share: float = 0.5
    identities: float = 0.15
    topics: int = 128
    common: float = 0.02
    least: int = 2
    kept: int = 1_200_000
    iterations: int = 80


def matrix(texts: Sequence[str], langs: np.ndarray, shared: bool) -> Any:
    """Counts of n-grams over the root of their number, scipy CSR float32 [texts, columns]."""
    from scipy import sparse

    rows, columns = [], []
    for lang in sorted(set(langs.tolist())):
        places = np.flatnonzero(langs == lang)
        found = ngram_features.features([texts[place] for place in places], lang, shared)
        rows.append(places[found[0]])
        columns.append(found[1])
    row, column = np.concatenate(rows), np.concatenate(columns)
    numbers = np.bincount(row, minlength=len(texts))
    counts = sparse.csr_matrix(
        (np.ones(len(row), np.float32), (row, column)), shape=(len(texts), 2**ngram_features.BITS)
    )
    counts.sum_duplicates()
    return sparse.diags((1 / np.sqrt(np.maximum(numbers, 1))).astype(np.float32)) @ counts


def regression(
    x: Any,
    targets: np.ndarray,
    weights: np.ndarray,
    owners: np.ndarray,
    penalty: float,
    iterations: int,
    bounded: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [columns] and an offset [owners] of logistic regression with targets from 0 to 1.

    The cross-entropy of the targets, weighted, plus ``penalty / 2`` times the sum of the squared weights; the offsets
    of the owners (a label set in a language) are free, and the weights of ``bounded`` columns are at most 0. L-BFGS-B
    (Byrd et al. 1995).
    """
    from scipy.optimize import Bounds, minimize

    columns, groups = x.shape[1], int(owners.max()) + 1
    transposed = x.T.tocsr()
    most = np.full(columns + groups, np.inf)
    if bounded is not None:
        most[bounded] = 0.0
    bounds = Bounds(np.full(columns + groups, -np.inf), most) if np.isfinite(most).any() else None

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        margins = x @ point[:columns] + point[columns:][owners]
        error = weights * (1 / (1 + np.exp(-np.clip(margins, -30, 30))) - targets)
        value = (weights * (np.logaddexp(0, margins) - targets * margins)).sum()
        gradient = transposed @ error + penalty * point[:columns]
        return (
            value + penalty / 2 * float(point[:columns] @ point[:columns]),
            np.concatenate([gradient, np.bincount(owners, error, groups)]),
        )

    found = minimize(
        loss, np.zeros(columns + groups), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": iterations, "maxfun": 3 * iterations, "ftol": 1e-5},
    )  # fmt: skip
    return found.x[:columns], found.x[columns:]


def topics(x: Any, clusters: np.ndarray, number: int) -> np.ndarray:
    """What n-grams of different languages have in common, float32 [columns, number]: ``x @ topics`` says what texts are
    about.

    A cluster's row is the sum of its texts' n-grams, weighted by ``idf ** 2``, of unit length: all that its
    translations say. A text is described by its products with those rows, and those by their principal directions
    (latent semantic analysis over translations; Dumais et al. 1997), scaled so that all topics of a text together are
    about as long as its n-grams are.
    """
    from scipy import sparse

    names, owner = np.unique(clusters, return_inverse=True)
    idf = np.log(x.shape[0] / np.maximum(np.bincount(x.indices, minlength=x.shape[1]), 1))
    member = sparse.csr_matrix((np.ones(len(owner), np.float32), (owner, np.arange(len(owner)))))
    rows = (member @ x @ sparse.diags(idf**2)).tocsr()
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    rows = sparse.diags(1 / np.where(lengths > 0, lengths, 1)) @ rows
    products = (x @ rows.T).toarray()
    products -= products.mean(axis=0)
    _, directions = np.linalg.eigh(products.T @ products)
    directions = directions[:, ::-1][:, : min(number, len(names))]
    scale = (products @ directions).std() * np.sqrt(directions.shape[1])
    return np.asarray(rows.T @ (directions / (scale if scale > 0 else 1.0)), dtype=np.float32)


def rarity(x: Any) -> np.ndarray:
    """How rare the n-gram of each column is, float32 [columns], as the logarithm (idf; Spärck Jones 1972).

    Columns times this have weights that the penalty, which is the same for all, holds less where the n-gram is rare.
    The mean square over the n-grams of all texts is 1.
    """
    texts = np.maximum(np.bincount(x.indices, minlength=x.shape[1]), 1)
    found = np.log1p(x.shape[0] / texts)
    return (found / np.sqrt((texts * found**2).sum() / texts.sum())).astype(np.float32)


def names(langs: Sequence[str], shared: bool, x: Any, common: float) -> np.ndarray:
    """Columns of the n-grams of groups' names.

    Without those of fewer than ``NAMED`` characters, and those that more than a share ``common`` of the texts have:
    they are parts of too many words to tell a group.
    """
    found = [ngram_features.features(data.groups(lang), lang, shared, NAMED)[1] for lang in langs]
    columns = np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
    return columns[np.bincount(x.indices, minlength=x.shape[1])[columns] <= common * x.shape[0]]


def table_of(
    examples: Examples, parts: Sequence[str], x: Any, settings: Settings, penalty: float, shared: bool
) -> np.ndarray:
    """Weights of all columns, float64 [columns of the table], fitted on some parts of one family's texts."""
    from scipy import sparse

    chosen = np.flatnonzero(np.isin(examples.parts, parts))
    owners = [f"{examples.sources[place]}/{examples.langs[place]}" for place in chosen]
    blocks, targets = [x[chosen]], [data.shared(examples, settings.share)[chosen]]
    weights = [np.ones(len(chosen))]
    extra = data.identities(sorted(set(examples.langs.tolist()))) if settings.identities > 0 else []
    if extra:
        langs = np.array([lang for _, lang in extra])
        blocks.append(matrix([text for text, _ in extra], langs, shared))
        targets.append(np.full(len(extra), data.NEUTRAL))
        weights.append(np.full(len(extra), settings.identities))
        # They stand beside the texts of the first label set of their language, so that their being neutral is left
        # to the weights to say.
        first = {lang: owner for owner, lang in reversed(list(zip(owners, examples.langs[chosen], strict=True)))}
        owners += [first[lang] for lang in langs.tolist()]
    whole = sparse.vstack(blocks).tocsr()
    kept = np.flatnonzero(np.bincount(whole.indices, minlength=x.shape[1]) >= settings.least)
    numbers = np.unique(owners, return_inverse=True)[1]
    # A name of a group says nothing bad by itself. That is a bound in the fit, not a cut after it, so that the other
    # n-grams can say what was to be said.
    langs = sorted(set(examples.langs.tolist()))
    named = np.flatnonzero(np.isin(kept, names(langs, shared, x, settings.common))) if settings.common > 0 else None
    whole = whole[:, kept]
    worth = rarity(whole)
    blocks = [whole @ sparse.diags(worth)]
    back = None
    if shared and settings.topics > 0:
        back = topics(whole[: len(chosen)], examples.clusters[chosen], settings.topics)
        if named is not None:
            back[named] = 0.0
        blocks.append(sparse.csr_matrix((whole @ back).astype(np.float32)))
    found, _ = regression(
        sparse.hstack(blocks).tocsr(), np.concatenate(targets), np.concatenate(weights), numbers, penalty,
        settings.iterations, named,
    )  # fmt: skip
    table = np.zeros(x.shape[1])
    table[kept] = found[: len(kept)] * worth
    if back is not None:
        # Topics are sums of n-grams, and so are weights of topics weights of n-grams.
        table[kept] += back @ found[len(kept) :]
    return table


def pruned(table: np.ndarray, kept: int) -> np.ndarray:
    """The table with its ``kept`` largest weights, in half precision: what is stored, and so what is calibrated."""
    found = table.copy()
    if np.count_nonzero(found) > kept:
        found[np.argpartition(-np.abs(found), kept)[kept:]] = 0.0
    return found.astype(np.float16).astype(np.float64)


def margins(examples: Examples, table: np.ndarray, alone: Sequence[str]) -> np.ndarray:
    """As the scorer computes them: [texts]."""
    found = np.zeros(len(examples.texts))
    for lang in sorted(set(examples.langs.tolist())):
        places = np.flatnonzero(examples.langs == lang)
        found[places] = margins_of([examples.texts[place] for place in places], lang, table, lang not in alone)
    return found


def fit(
    sets: Sequence[tuple[Mapping[str, Any], Sequence[LabelledText]]],
    out: Path,
    settings: Settings | None = None,
    *,
    checks: Sequence[tuple[Mapping[str, Any], Sequence[LabelledText]]] = (),
    say: Callable[[str], object] = lambda _: None,
) -> NgramScorer:
    """Fit, and write ``weights.safetensors``, ``card.json`` and ``README.md`` into a new folder.

    Args:
        sets: card and texts of each label set.
        out: a folder that is not there yet.
        checks: card and texts of sets that it is measured on and not fitted on.
        say: called with a line when a step is done.

    Raises:
        DetoxbenchError: where a language has too few texts; for a folder that is not empty.
    """
    from safetensors.numpy import save_file

    settings = settings or Settings()
    examples = data.of([texts for _, texts in sets])
    calibration.check(examples)
    say(f"{len(examples.texts):,} texts in {len(set(examples.langs.tolist()))} languages")
    table = np.zeros(2**ngram_features.BITS)
    families = data.families(examples)
    alone = [langs[0] for langs in families if len(langs) == 1]
    chosen = {}
    for langs in families:
        # Families have hashes of their own, so that their weights lie side by side in one table.
        family = data.only(examples, langs)
        x = matrix(family.texts, family.langs, len(langs) > 1)
        tried = {}
        for penalty in settings.penalties:
            one = table_of(family, ["train"], x, settings, penalty, len(langs) > 1)
            aucs = by_language(family, margins(family, one, alone), "dev")
            tried[penalty] = float(np.mean(list(aucs.values()))) if aucs else 0.0
            say(f"{' '.join(langs)}: penalty {penalty:g}, mean AUC {tried[penalty]:.4f} on dev")
        best = max(tried, key=lambda one: tried[one])
        table += table_of(family, ["train", "dev"], x, settings, best, len(langs) > 1)
        chosen[" ".join(langs)] = {
            "penalty": best,
            "dev_auc": {f"{one:g}": round(auc, 4) for one, auc in tried.items()},
        }
    table = pruned(table, settings.kept)
    values = margins(examples, table, alone)
    scales = calibrate(examples, values)
    columns = np.flatnonzero(table)
    card: dict[str, Any] = {
        "kind": KIND,
        "schema_version": SCHEMA,
        "languages": sorted(scales),
        "alone": alone,
        "features": FEATURES,
        "measures": "probability that people call the text toxic: for rated sets, a mean rating of at least 3 of 5",
        "sources": [dict(card) for card, _ in sets],
        "own_texts": cards.OWN_TEXTS if settings.identities > 0 else None,
        "split": {"version": split.VERSION, "shares": split.SHARES, "by": "cluster"},
        "settings": {**asdict(settings), "chosen": chosen},
        "texts": {part: int((examples.parts == part).sum()) for part in split.SHARES},
    }
    with new_folder(out) as folder:
        columns = np.flatnonzero(table)
        save_file(
            {
                "columns": columns.astype(np.int32),
                "weights": table[columns].astype(np.float16),
                "scales": np.array([scales[lang] for lang in sorted(scales)], dtype=np.float64),
            },
            folder / WEIGHTS,
        )
        write_json(folder / CARD, card)
        card |= cards.validity(NgramScorer(folder), sets, checks, say)
        write_json(folder / CARD, card)
        write_text(folder / README, cards.readme(card))
        # safetensors writes for the owner alone; whoever may read the card may read the weights.
        (folder / WEIGHTS).chmod((folder / CARD).stat().st_mode)
    return NgramScorer(out, f"ngram:{out.resolve().name}")
