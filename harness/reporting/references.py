"""What to cite for a result: prompt sets, metrics, scorers, methods and the harness, each paper once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.metric_names import metric_of
from ...core.metrics import METRICS
from ...core.metrics.citations import bibtex as of_metric
from ...core.registry import METHODS
from ...core.results import Run
from ...tasks import prompts

HARNESS = """@misc{eval-harness,
  author = {Gao, Leo and Tow, Jonathan and Abbasi, Baber and Biderman, Stella and Black, Sid and others},
  title = {The Language Model Evaluation Harness},
  publisher = {Zenodo},
  year = {2024},
  doi = {10.5281/zenodo.12608602}
}"""
SCORERS = {
    "perspective": """@inproceedings{lees2022perspective,
  title = {A New Generation of {Perspective API}: Efficient Multilingual Character-level Transformers},
  author = {Lees, Alyssa and Tran, Vinh Q. and Tay, Yi and Sorensen, Jeffrey and Gupta, Jai and Metzler, Donald and
    Vasserman, Lucy},
  booktitle = {Proceedings of KDD 2022},
  year = {2022},
  doi = {10.1145/3534678.3539147}
}""",
    "detoxify": """@misc{hanu2020detoxify,
  title = {Detoxify},
  author = {Hanu, Laura and {Unitary team}},
  year = {2020},
  howpublished = {\\url{https://github.com/unitaryai/detoxify}}
}""",
    "openai_moderation": """@inproceedings{markov2023holistic,
  title = {A Holistic Approach to Undesired Content Detection in the Real World},
  author = {Markov, Todor and Zhang, Chong and Agarwal, Sandhini and Eloundou, Tyna and Lee, Teddy and Adler, Steven and
    Jiang, Angela and Weng, Lilian},
  booktitle = {Proceedings of AAAI 2023},
  year = {2023}
}""",
}
"""Kind of scorer -> its publication."""
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_KEY = re.compile(r"@\w+\s*\{\s*([^,\s]+)\s*,")
_TITLE = re.compile(r"\btitle\s*=\s*[{\"](.*?)[}\"]\s*(?:,\s*\w+\s*=|,?\s*\}\s*$)", re.DOTALL)


def references(runs: Sequence[Run]) -> str:
    """A BibTeX file of what these runs used; a comment names what has no publication that is known here."""
    found: list[str] = []
    without: list[str] = []

    def add(what: str, entries: str) -> None:
        split = entries_of(entries)
        found.extend(split)
        if not split and what.split()[-1] != MINI:
            without.append(what)

    add("lm-eval", HARNESS)
    for run in runs:
        if run.model is not None:
            if run.model.method != "none":
                add(f"method {run.model.method}", _of_method(run.model.method))
            _add_model(add, "model", run.model.pretrained)
        for task in run.tasks.values():
            record = task.record
            add(f"prompt set {record.prompt_set}", _of_prompts(record.prompt_set))
            add(f"scorer {record.scorer}", _of_scorer(record.scorer))
            if record.fluency_model:
                _add_model(add, "fluency model", record.fluency_model)
            for name in dict.fromkeys(map(metric_of, task.estimates())):
                if name in METRICS and METRICS[name].bibtex:
                    add(f"metric {name}", of_metric(METRICS[name]))
    lines = unique(found)
    if without:
        lines.append("% No publication known here: " + ", ".join(_line(what) for what in dict.fromkeys(without)))
    return "\n\n".join(lines) + "\n"


def entries_of(text: str) -> list[str]:
    """The BibTeX entries in a text, by their braces.

    >>> entries_of("@misc{a, title={x}}; @misc{b, title={y}}")
    ['@misc{a, title={x}}', '@misc{b, title={y}}']
    """
    found, start, depth = [], -1, 0
    for place, sign in enumerate(text):
        if sign == "@" and depth == 0:
            start = place
        elif sign == "{":
            depth += 1
        elif sign == "}":
            depth = max(0, depth - 1)
            if depth == 0 and start >= 0:
                found.append(text[start : place + 1])
                start = -1
    return found


def unique(entries: Iterable[str]) -> list[str]:
    """Without repetitions: of one title, whatever its key, the first; a key that two titles share is told apart."""
    kept: dict[str, str] = {}
    keys: set[str] = set()
    for entry in entries:
        match = _KEY.match(entry)
        name = _title(entry)
        if match is None or name in kept:
            continue
        key = match.group(1)
        new = next(option for option in (key, *(f"{key}-{n}" for n in range(2, 1000))) if option not in keys)
        keys.add(new)
        kept[name] = entry[: match.start(1)] + new + entry[match.end(1) :]
    return list(kept.values())


def _title(entry: str) -> str:
    match = _TITLE.search(entry)
    words = match.group(1) if match else entry
    return re.sub(r"[^a-z0-9]+", "", words.lower())


def _of_method(name: str) -> str:
    try:
        return METHODS[name].about.bibtex
    except DetoxbenchError:
        return ""  # of a package that is not installed here


def _of_prompts(name: str) -> str:
    try:
        card = prompts.get(name.partition("/")[0]).card
    except DetoxbenchError:
        return ""  # a file, or a set of a package that is not installed here
    return "" if card is None else card.citation


def _of_scorer(name: str) -> str:
    kind, _, rest = name.removeprefix("calibrated:").partition("->")[0].partition(":")
    if kind == "hf" and _HUB.fullmatch(rest.partition(",")[0]):
        return _hub(rest.partition(",")[0])
    return SCORERS.get(kind, "")


def _add_model(add: Callable[[str, str], None], what: str, name: str) -> None:
    if name != MINI:
        add(f"{what} {name}", _hub(name) if _HUB.fullmatch(name) else "")


def _hub(name: str) -> str:
    """A model on the hub, by its address."""
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    title = name.replace("_", r"\_")
    return f"@misc{{hf-{key},\n  title = {{{title}}},\n  howpublished = {{\\url{{https://huggingface.co/{name}}}}}\n}}"


def _line(words: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in words)
