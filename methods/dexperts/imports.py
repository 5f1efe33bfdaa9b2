"""A published expert, a plain model folder, becomes one of ours."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel

from ...core.errors import DetoxbenchError
from ..declaration import Importer
from ..loading import TOKENIZER_FILES, load_model
from ..settings import Settings


def import_expert(folder: str | Path, out: str | Path) -> PreTrainedModel:
    """A published expert, a plain model folder, as ours: safetensors and a manifest.

    Args:
        folder: a ``save_pretrained`` folder; weights in torch's format are read without unpickling objects.
        out: must not exist, or be empty.

    Raises:
        DetoxbenchError: where the folder holds no causal LM.
    """
    from .fit import KIND, save  # the trainer takes seconds to import

    folder = Path(folder)
    if not folder.is_dir():
        raise DetoxbenchError(f"{folder}: there is no such folder")
    model = load_model(str(folder), "expert", dtype="auto")
    tokenizer = None
    if any((folder / name).is_file() for name in TOKENIZER_FILES):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    save(model, tokenizer, Path(out), {"imported_from": folder.name}, KIND)
    return model


def run(folder: Path, out: Path, settings: Settings) -> str:
    """Import, and say in a line what came in (``import_expert``)."""
    made = import_expert(folder, out)
    return f"{out}: a {made.config.model_type} model; use it as expert={out} or antiexpert={out}"


IMPORTER = Importer("An expert or anti-expert from a model folder: checked, and saved as safetensors.", run)
