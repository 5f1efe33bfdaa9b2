"""One job in a process of its own: ``python -m detoxbench.harness.sweep.worker JOB.json``.

It ends when the process that started it is gone, so that a sweep that was killed leaves nothing running.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json
from ...methods.artifact_arguments import naming
from . import fits
from .content import is_url
from .plan import FIT
from .store import Store, filesystem
from .watch import watch

RESULT = "run"
"""Folder of a finished run, in the job's."""
PARENT = "DETOXBENCH_SWEEP_PARENT"


def do(job: Mapping[str, Any], folder: Path) -> None:
    """Do a job.

    Args:
        job: ``kind``, ``digest``, ``content``, and ``store`` and ``cache`` of artifacts.
        folder: to work in; a run leaves its results in ``FOLDER/run``, an artifact goes to the store.
    """
    store = Store(job["store"], Path(job["cache"]))
    if job["kind"] == FIT:
        _fit(job["digest"], job["content"], folder, store)
    else:
        _run(job["content"], folder, store)


def _fit(digest: str, content: Mapping[str, Any], folder: Path, store: Store) -> None:
    if store.find(digest) is not None:
        return
    made = content["recipe"]
    texts = store.fetch(f"texts-{made['texts']}")
    fits.make(content["pretrained"], made, content["settings"], texts, folder / "artifact", content["device"])
    if os.environ.get("RANK", "0") == "0":
        store.publish(digest, folder / "artifact")


def _run(content: Mapping[str, Any], folder: Path, store: Store) -> None:
    from ..continual import evaluate

    given = {name: _fetched(value, store.cache) for name, value in content["arguments"].items()}
    if content["artifact"]:
        artifact = store.fetch(content["artifact"])
        given |= naming(content["method"], artifact, given)
    model_args = {**content["model_args"], "method": content["method"], **given}
    if model_args["pretrained"] == MINI:
        model_args.setdefault("device", "cpu")
    try:
        evaluate.evaluate(
            folder / RESULT, content["key"], model_args, content["tasks"], metadata=content["metadata"],
            limit=content["limit"], seed=content["seed"], chat=content["chat"],
        )  # fmt: skip
    except evaluate.NotFirst:
        return  # the first of several processes has the results


def _fetched(value: Any, cache: Path) -> Any:
    """An artifact that was named by URL, copied here once."""
    if isinstance(value, list):
        return [_fetched(one, cache) for one in value]
    if not is_url(value):
        return value
    fs, path = filesystem(value)
    from ...core.files import fingerprint

    state = sorted((name, fs.info(name).get("size"), str(fs.ukey(name))) for name in fs.find(path))
    if not state:
        raise DetoxbenchError(f"'{value}': nothing is there")
    final = cache / f"url-{fingerprint([value, state])[:16]}"
    if not final.is_dir():
        partial = cache / f".{final.name}.{os.getpid()}"
        fs.get(path.rstrip("/") + "/", f"{partial}/", recursive=True)
        try:
            os.replace(partial, final)
        except OSError:
            if not final.is_dir():
                raise
    return str(final)


def main(path: str) -> int:
    """Exit status 0 if the job is done; else the reason is the last line of standard error."""
    parent = os.environ.get(PARENT)
    if parent:
        watch(int(parent))
    file = Path(path)
    try:
        do(parse_json(file.read_text(encoding="utf-8")), file.parent)
    except DetoxbenchError as error:
        sys.stderr.write(f"detoxbench: {error}\n")
        return 2
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    sys.stderr.flush()
    sys.exit(status)
