"""From one scorer's scale to another's: isotonic regression a language, fitted on texts that both have scored.

The map is saved as thresholds in JSON. ``calibrated:<file>`` is a scorer of its own, whose name and version say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..constants import RESAMPLES
from ..errors import DetoxbenchError
from ..files import fingerprint, write_json
from ..parsing import ParseError, parse_json
from . import loading
from .agreement import agreement
from .archive import ScoreArchive
from .base import OnScored, Scorer, Scores, check_language
from .progress import score_all
from .spec import parse

KIND = "detoxbench.calibration"
SCHEMA = 1
HELD_OUT = 0.3
"""Share of the texts that the map is not fitted on but judged by, chosen by their hash."""

LEAST = 50
"""Pairs that a language needs: with fewer there is nothing to judge the map by."""


@dataclass(frozen=True)
class Pairs:
    """Texts of one language that both scorers have scored.

    Attributes:
        hashes: ``[texts]`` sha256 of the texts.
        source, target: float64 ``[texts]``, finite.
    """

    hashes: Sequence[bytes]
    source: np.ndarray
    target: np.ndarray

    def held_out(self) -> np.ndarray:
        """bool ``[texts]``: a text is held out by its hash, so in every archive that has it."""
        return np.array([int.from_bytes(sha[:4], "big") < HELD_OUT * 2**32 for sha in self.hashes], dtype=bool)


@dataclass(frozen=True)
class End:
    """One end of the map: which numbers it takes or gives."""

    scorer: str
    version: str
    attribute: str


@dataclass(frozen=True)
class Map:
    """A non-decreasing function of scores, linear between the thresholds ``x`` with values ``y``, constant beyond."""

    x: Sequence[float]
    y: Sequence[float]
    fitted: int
    held_out: int
    report: Mapping[str, Mapping[str, Any]]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """float64 ``[texts]``; NaN stays NaN."""
        return np.where(np.isnan(scores), np.nan, np.interp(scores, self.x, self.y))


@dataclass(frozen=True)
class Calibration:
    """A map a language, and what it was fitted on.

    Attributes:
        source, target: names and versions, which the maps belong to.
        languages: BCP-47 tag -> map.
        spec: how the source is asked for on this machine, a path perhaps; no part of the version. None in files of
            earlier versions, for the source's name.
    """

    source: End
    target: End
    languages: Mapping[str, Map]
    spec: str | None = None

    @property
    def version(self) -> str:
        """sha256 of everything that a calibrated score depends on."""
        maps = {lang: [list(one.x), list(one.y)] for lang, one in sorted(self.languages.items())}
        return f"calibration-sha256:{fingerprint([asdict(self.source), asdict(self.target), maps])}"

    def save(self, path: Path | str) -> None:
        """Write as JSON; the file appears under its name only when it is whole.

        Raises:
            WriteError: see ``files.replacing``.
        """
        whole = {"kind": KIND, "schema_version": SCHEMA, "version": self.version, **asdict(self)}
        write_json(Path(path), _plain(whole))

    @classmethod
    def read(cls, path: Path | str) -> Calibration:
        """What ``save`` wrote.

        Raises:
            DetoxbenchError: for a file that is not one, or was changed.
        """
        try:
            whole = parse_json(Path(path).read_text(encoding="utf-8"))
            if not isinstance(whole, dict) or whole.get("kind") != KIND or whole.get("schema_version") != SCHEMA:
                raise DetoxbenchError(f"'{path}' is not a calibration of this version; detoxbench calibrate makes one")
            languages = {lang: Map(**one) for lang, one in whole["languages"].items()}
            found = cls(End(**whole["source"]), End(**whole["target"]), languages, whole.get("spec"))
        except OSError as error:
            raise DetoxbenchError(f"'{path}' cannot be read: {error.strerror}") from None
        except (KeyError, TypeError, AttributeError, ParseError, UnicodeDecodeError) as error:
            raise DetoxbenchError(f"'{path}' is not a calibration: {type(error).__name__}: {error}") from None
        if whole.get("version") != found.version:
            raise DetoxbenchError(f"'{path}' was changed after it was made: its version does not fit its contents")
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def scores_of(archive: ScoreArchive, end: End, language: str, former: Sequence[str] = ()) -> dict[bytes, float]:
    """sha256 of a text -> its score, for all texts of a language that have one, in whatever set of attributes.

    Args:
        former: names that the scorer had in earlier archives.
    """
    found: dict[bytes, float] = {}
    for key, _ in (entry for name in (end.scorer, *former) for entry in archive.sets(name)):
        if key.version == end.version and key.language == language and end.attribute in key.attributes:
            column = key.attributes.index(end.attribute)
            for row in archive.rows(key, texts=False):
                if row.reason is None and math.isfinite(row.values[column]):
                    found.setdefault(row.text_sha256, row.values[column])
    return found


def pairs(archive: ScoreArchive, source: End, target: End, language: str, former: Sequence[str] = ()) -> Pairs:
    """The texts of a language that the archive has both scores of; see ``scores_of`` for ``former`` of the source."""
    sources, targets = scores_of(archive, source, language, former), scores_of(archive, target, language)
    common = sorted(sources.keys() & targets.keys())
    return Pairs(common, *(np.array([column[sha] for sha in common], dtype=float) for column in (sources, targets)))


def languages_of(archive: ScoreArchive, end: End) -> list[str]:
    """Languages in which the archive has such scores."""
    keys = (key for key, _ in archive.sets(end.scorer))
    return sorted({key.language for key in keys if key.version == end.version and end.attribute in key.attributes})


def fit_map(found: Pairs, *, groups: Mapping[bytes, object] | None = None, resamples: int = RESAMPLES) -> Map:
    """Isotonic regression (Barlow et al. 1972; scikit-learn) of target on source, and its report on held-out texts.

    The report has ``calibrated`` and ``raw``: figures of ``agreement`` with and without the map.

    Args:
        groups: sha256 of a text -> its prompt, for the bias of expected maximum toxicity; groups at random if None.

    Raises:
        DetoxbenchError: with fewer than ``LEAST`` pairs.
    """
    from sklearn.isotonic import IsotonicRegression

    held = found.held_out()
    if len(found.hashes) < LEAST or held.all() or not held.any():
        raise DetoxbenchError(
            f"calibration needs {LEAST} texts that both scorers have scored in a language, given {len(found.hashes)}"
        )
    regression = IsotonicRegression(out_of_bounds="clip").fit(found.source[~held], found.target[~held])
    x, y = ([float(one) for one in column] for column in (regression.X_thresholds_, regression.y_thresholds_))
    bare = Map(x, y, int((~held).sum()), int(held.sum()), {})
    judged = (
        None if groups is None else _groups([sha for sha, out in zip(found.hashes, held, strict=True) if out], groups)
    )
    source, target = found.source[held], found.target[held]
    report = {
        name: {
            figure: asdict(one) for figure, one in agreement(scores, target, groups=judged, resamples=resamples).items()
        }
        for name, scores in (("calibrated", bare(source)), ("raw", source))
    }
    return Map(x, y, bare.fitted, bare.held_out, _plain(report))


def _groups(hashes: Sequence[bytes], owner: Mapping[bytes, object]) -> list[np.ndarray]:
    places: dict[object, list[int]] = {}
    for place, sha in enumerate(hashes):
        if sha in owner:
            places.setdefault(owner[sha], []).append(place)
    return [np.array(group) for group in places.values()]


class CalibratedScorer(Scorer):
    """``calibrated:<file>``: the source scorer's scores on the target's scale.

    Its name is ``calibrated:<source>-><target>`` and its version the calibration's, which covers the source's. Its only
    attribute is the target's. Options: any of the source scorer's, as keywords. An archive holds the source's scores.
    """

    composite = True

    def __init__(self, calibration: Calibration, scorer: Scorer):
        if scorer.version != calibration.source.version:
            raise DetoxbenchError(
                f"the calibration was made for version '{calibration.source.version}' of "
                f"'{calibration.source.scorer}', this is version '{scorer.version}': its scores are on another scale. "
                "Calibrate again."
            )
        self.scorer = scorer
        self.calibration = calibration
        self.name = f"calibrated:{scorer.name}->{calibration.target.scorer}"
        self.version = calibration.version
        self.attributes = (calibration.target.attribute,)
        self.judges = scorer.judges
        self.languages = frozenset(lang.split("-")[0].lower() for lang in calibration.languages)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> CalibratedScorer:
        """See the class.

        Raises:
            DetoxbenchError: for a file that is not a calibration, or a source scorer of another version.
        """
        (path,), _ = parse("calibrated", argument, {}, arguments=("file",), options={})
        calibration = Calibration.read(path)
        return cls(calibration, loading.load(calibration.spec or calibration.source.scorer, **options))

    @property
    def missing(self) -> Mapping[tuple[str, bytes], str]:
        return self.scorer.missing

    @property
    def archived_in(self) -> Path | None:
        return self.scorer.archived_in

    def write_missing(self, path: Path | str) -> int:
        return self.scorer.write_missing(path)

    def ready(self) -> object:
        return self.scorer.ready()

    def open(self) -> None:
        self.scorer.open()

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Calibrated scores; a text that the source scorer cannot score has none.

        Raises:
            DetoxbenchError: for a language that was not calibrated.
        """
        return self.score_reporting(texts, lang, lambda _: None, prompts)

    def score_reporting(
        self, texts: Sequence[str], lang: str, on_scored: OnScored, prompts: Sequence[str] | None = None
    ) -> Scores:
        check_language(self, lang)
        maps = self.calibration.languages
        chosen = maps.get(lang) or next(
            one for tag, one in maps.items() if tag.split("-")[0] == lang.split("-")[0].lower()
        )
        scores = score_all(self.scorer, texts, lang, on_scored, prompts)
        values = chosen(np.asarray(scores.values[self.calibration.source.attribute], dtype=float))
        return Scores({self.attributes[0]: values}, scores.reasons, retry=scores.retry)
