"""Work in progress of a fit: a folder that survives a kill, a lock that does not, and what manifests say at the end."""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ...core import files, hub
from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.mini import model_folder
from ...core.parsing import parse_json
from ...core.progress import EVERY
from ...core.tokenizers import misfit
from ...core.transformers_private import usable_positions
from ...core.versions import installed
from .. import artifacts
from ..identity import ModelIdentity
from ..loading import LOAD_ERRORS, load_model

PACKAGES = ("detoxbench", "torch", "transformers", "tokenizers", "numpy", "faiss-cpu", "faiss-gpu", "peft")
LOCK = ".lock"
WORK = ".work"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time works in a folder; the system releases the lock of a killed one."""
    files.make_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is fitting in {folder}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def work_folder(out: Path, name: str, settings: Mapping[str, Any]) -> Iterator[Path]:
    """``OUT/.work/NAME``, kept after an error or a kill for the next try, removed at the end.

    Args:
        out: the fit's output.
        name: of this piece of work.
        settings: all that its content depends on; what other settings left is removed.
    """
    folder = out / WORK / name
    stamp = folder / "settings.json"
    wanted = files.fingerprint(settings)
    if folder.exists():
        found = parse_json(stamp.read_text())["sha256"] if stamp.is_file() else None
        if found == wanted:
            say(f"going on with {name} where it was stopped")
        else:
            shutil.rmtree(folder)
    files.make_folder(folder)
    files.write_json(stamp, {"sha256": wanted, "settings": dict(settings)})
    yield folder
    discard(out, name)


def discard(out: Path, name: str) -> None:
    """Remove a finished piece of work."""
    shutil.rmtree(out / WORK / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        (out / WORK).rmdir()


def finished(path: Path, kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether an artifact made with these settings is there already.

    Raises:
        DetoxbenchError: where something else is.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return False
    trained = artifacts.read(path, kind).get("trained") or {}
    if trained.get("fingerprint") == files.fingerprint(settings):
        return True
    raise DetoxbenchError(
        f"{path} exists already, made from other data or settings: choose another --out, or remove it"
    )


def trained(settings: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """What a manifest says of the making: settings (base model, data, seed), their fingerprint, facts, versions."""
    return {**settings, "fingerprint": files.fingerprint(settings), **facts, "versions": versions()}


def versions() -> dict[str, str]:
    """Of the packages whose numbers can differ between releases."""
    return {"python": platform.python_version(), **installed(PACKAGES)}


def load_base(
    pretrained: str, *, revision: str | None = None, device: str | None = None, dtype: str = "auto"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model, in evaluation mode, and its tokenizer.

    Args:
        pretrained: folder, hub name or ``mini``.
        revision: commit or tag on the hub.
        device: by default a GPU where there is one.
        dtype: by default the checkpoint's own, double precision excepted: nothing here needs it.

    Raises:
        DetoxbenchError: naming what cannot be loaded.
    """
    options = {"revision": revision} if revision else {}
    model = load_model(pretrained, "base model", bar=pretrained != MINI, dtype=dtype, **options)
    if model.dtype == torch.float64:
        model = model.float()
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_folder(pretrained), **options)
    except LOAD_ERRORS as error:
        why = hub.cause(error, pretrained)
        raise DetoxbenchError(f"base model '{pretrained}' has no tokenizer that can be loaded: {why}") from error
    if (why := misfit(tokenizer, model)) is not None:
        raise DetoxbenchError(f"base model '{pretrained}': {why}; put the model's tokenizer files into its folder")
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), tokenizer


def base_record(model: PreTrainedModel) -> dict[str, Any]:
    """The base model in ``trained``: its name, revision and a hash of some of its weights."""
    identity = ModelIdentity.of(model)
    return {
        "name": Path(identity.name).name if Path(identity.name).is_dir() else identity.name,
        "revision": identity.revision,
        "weights": files.fingerprint(identity.weights)[:16],
    }


def max_positions(model: PreTrainedModel, wanted: int | None = None) -> int:
    """Tokens of a row: as wanted, at most what the model has positions for."""
    limit = usable_positions(model) or 2048
    return min(wanted or limit, limit)


def say(line: str) -> None:
    """A line of progress on standard error."""
    sys.stderr.write(f"detoxbench: {line}\n")


def bar(rows: Iterable | None = None, **settings: Any) -> tqdm:
    """A progress bar on standard error; a line a minute where that is no terminal."""
    if sys.stderr.isatty():
        return tqdm(rows, dynamic_ncols=True, mininterval=0.5, **settings)
    return Lines(rows, file=sys.stderr, leave=False, mininterval=EVERY, maxinterval=EVERY, **settings)


class Lines(tqdm):
    """As a bar, in lines: at the start, each minute, and at the end."""

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        def write(line: str) -> None:
            if line.strip():
                file.write(f"{line}\n")
                file.flush()

        return write

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        if msg is None:
            self.sp(str(self))
        return False  # nothing that a cursor would have to go back over

    def close(self) -> None:
        if not self.disable and self.n > self.last_print_n:
            self.refresh()
        super().close()
