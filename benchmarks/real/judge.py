"""A second judge that shares nothing with the first: the middle of gemma-3-270m, read out by a linear probe.

``ngram`` looks at letters and words; this one at what a language model makes of a text. It is fitted on the part
``judge`` of RTP-LX and ParaDetox and on Davidson's tweets, which no method, guide or prompt of the study comes from. It
is an ordinary classifier (``hf:FOLDER,label=toxic``), measured like any other by ``detoxbench validate --part test``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from detoxbench.core.files import new_folder
from detoxbench.core.validity.labelled import LabelledText
from detoxbench.core.validity.split import part_of
from detoxbench.tasks import labels

BLOCKS = (8, 10, 12)
"""How many of 18, the best on ``dev``: the middle of a language model says more of a text than its end, which is busy
with the next word."""
EACH = 800
"""Texts of a set, at random."""
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
BATCH = 32
"""Texts a forward pass, of about one length."""
LONGEST = 128
"""Tokens of a text."""


def texts(data: Path, cache: Path) -> list[LabelledText]:
    """What it is fitted on; nothing of the part ``test``."""
    folder = cache / "data" / "labels" / "judge"
    rng, found = random.Random(0), []
    for name, path in (
        ("rtp_lx", folder / "rtp_lx"),
        (str(folder / "paradetox.jsonl"), None),
        ("davidson", data / "english" / "davidson.csv"),
    ):
        _, every, _ = labels.load(name, labels.Request(path))
        mine = [one for one in every if part_of(one.cluster) != "test"]
        found += rng.sample(mine, min(EACH, len(mine)))
    return found


def fit(model: Path, found: Sequence[LabelledText], out: Path, say: Callable[[str], None]) -> Path:
    """The classifier, in a folder.

    Args:
        model: gemma-3-270m.
        found: texts; those of the part ``dev`` choose depth and penalty, the others fit the probe.
    """
    from transformers import AutoTokenizer, Gemma3TextForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(model)
    # As it is run later: in half the bits, and several times as fast where the processor has instructions for them.
    body = Gemma3TextForSequenceClassification.from_pretrained(model, num_labels=2, dtype=torch.bfloat16)
    states = features(body.model, tokenizer, [one.text for one in found], say)
    positive = np.array([one.positive for one in found])
    dev = np.array([part_of(one.cluster) == "dev" for one in found])
    best: tuple[float, int, float, np.ndarray] | None = None
    for depth, columns in states.items():
        for penalty in PENALTIES:
            weight = probe(columns[~dev], positive[~dev], penalty)
            area = float(roc_auc_score(positive[dev], columns[dev] @ weight))
            say(f"{depth} blocks, penalty {penalty:g}: AUC {area:.3f} on dev")
            if best is None or area > best[0]:
                best = area, depth, penalty, weight
    assert best is not None
    _, depth, _, weight = best
    config: Any = body.config
    config.num_hidden_layers, config.layer_types = depth, config.layer_types[:depth]
    config.id2label, config.label2id = {0: "harmless", 1: "toxic"}, {"harmless": 0, "toxic": 1}
    config.problem_type = "single_label_classification"
    body.model.layers = body.model.layers[:depth]
    half = torch.tensor(weight / 2, dtype=body.score.weight.dtype)
    body.score.weight.data = torch.stack([-half, half])
    with new_folder(out) as partial:
        body.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return out


@torch.inference_mode()
def features(body: Any, tokenizer: Any, said: Sequence[str], say: Callable[[str], None]) -> dict[int, np.ndarray]:
    """Depth -> the last token's normalised state after so many blocks ``[texts, dim]``, as the classifier has it."""
    ids = tokenizer(list(said), truncation=True, max_length=LONGEST)["input_ids"]
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    found = {depth: np.zeros((len(ids), body.config.hidden_size), dtype=np.float32) for depth in BLOCKS}
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        lengths = torch.tensor([len(ids[at]) for at in places])
        rows = torch.zeros(len(places), int(lengths.max()), dtype=torch.int64)
        for row, at in enumerate(places):
            rows[row, : len(ids[at])] = torch.tensor(ids[at])
        mask = torch.arange(rows.shape[1]) < lengths[:, None]
        out = body(input_ids=rows, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        for depth in BLOCKS:
            last: Tensor = out[depth][torch.arange(len(places)), lengths - 1]
            found[depth][places] = body.norm(last).float().numpy()
        if start % (20 * BATCH) == 0:
            say(f"judge: {start} of {len(order)} texts read")
    return found


def probe(states: np.ndarray, positive: np.ndarray, penalty: float) -> np.ndarray:
    """Logistic regression ``[dim]`` without an intercept, which transformers' heads do not have; the states' large
    common part stands in for one.

    Args:
        states: ``[texts, dim]``.
        positive: ``[texts]``.
        penalty: of the squared weights of columns scaled to one.
    """
    scale = np.sqrt((states**2).mean(axis=0)) + 1e-6
    found = LogisticRegression(C=1 / penalty, fit_intercept=False, max_iter=1000).fit(states / scale, positive)
    return found.coef_[0] / scale
