"""A method's artifacts are looked at before the base model is loaded: what does not fit is found in seconds.

What loading would refuse is refused here as far as files tell without a model's weights: folders that are not there,
manifests, sha256, the kind of an artifact, its vocabulary, the shapes of keys and vectors. Loading checks all again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from ..core.constants import MINI
from ..core.errors import DetoxbenchError, shown
from ..core.files import possible
from ..core.mini import model_folder
from ..core.registry import METHODS
from . import artifacts, base
from .declaration import Artifact
from .identity import ModelIdentity
from .layers import key_layer
from .loading import OTHER_KINDS, missing_artifact
from .merging.checkpoint import ADAPTER_CONFIG, open_checkpoint
from .merging.reweighted import named
from .retrieval.datastore import KIND as DATASTORE
from .retrieval.datastore import Datastore


def check(method: str, arguments: Mapping[str, Any], pretrained: Any, revision: str | None = None) -> None:
    """Refuse artifacts that cannot be used with a base model, without loading it.

    Args:
        method: a registered method.
        arguments: the user's, whose types are checked already.
        pretrained: the base model: a folder, a hub name or ``mini``; a loaded one is not looked at.
        revision: of a hub model.

    Raises:
        DetoxbenchError: naming the argument, what was given, and what to do.
    """
    if isinstance(pretrained, str):
        cls = METHODS[method]
        for one, given in cls.applied(base.parse_arguments(method, cls, arguments)):
            _check(one, given, pretrained, revision)


def _check(cls: type[base.Method], parsed: Any, pretrained: str, revision: str | None) -> None:
    """One method, of several that may be put on a model."""
    name = next((known for known in METHODS if METHODS[known] is cls), cls.__name__)
    uses = [use for use in cls.uses if all(getattr(parsed, key) == value for key, value in use.when.items())]
    arguments = dict.fromkeys(use.argument for use in cls.uses)
    given = {key: value for key in arguments if (value := getattr(parsed, key)) is not None}
    if uses and not given and model_folder(pretrained) != model_folder(MINI):
        wanted = " or ".join(dict.fromkeys(f"{use.argument}=…" for use in uses))
        raise missing_artifact(name, wanted, f"{name} --pretrained … --out …")
    config = _config(pretrained, revision) if given else None
    for use in uses:
        if use.argument not in given:
            continue
        artifact = cls.fit.artifact(use.artifact) if cls.fit is not None else Artifact(use.artifact, "", "both")
        values = given[use.argument]
        if artifact.kind is None and (use.many or cls.kind == "weight"):
            values = _all(values)
        for value in values if isinstance(values, list | tuple) else [values]:
            if isinstance(value, str | Path):
                try:
                    _folder(Path(model_folder(str(value))), str(value), artifact, config, ours=_is_ours(cls))
                except DetoxbenchError as error:
                    raise DetoxbenchError(f"method '{name}', argument {use.argument}: {error}") from None
    if config is not None and cls.kind == "activation":
        _shapes(cls, parsed, config)


def _all(values: Any) -> list[Any]:
    """Fine-tuned checkpoints as the weight methods read them."""
    if isinstance(values, list | tuple) and not all(isinstance(value, str) for value in values):
        return list(values)
    return list(named(values)) if isinstance(values, str | list | tuple) else [values]


def _is_ours(cls: type[base.Method]) -> bool:
    """Of this package; what methods of others keep in a folder without a kind may be anything."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def _folder(folder: Path, given: str, artifact: Artifact, config: Any, *, ours: bool) -> None:
    """One artifact; a name that is no folder may be a hub's, where it is looked for later."""
    if not possible(folder) or not folder.is_dir():
        if artifact.kind is None and possible(folder) and re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", given):
            return
        name = shown(given, quoted=True, most=200)
        raise DetoxbenchError(f"{name}: there is no such folder; give one that detoxbench fit or import has made")
    if artifact.kind == DATASTORE:
        _datastore(Datastore.open(folder), config)
        return
    if artifact.kind is not None:
        artifacts.verify(folder, artifacts.read(folder, artifact.kind))
    else:
        manifest = artifacts.verified(folder)
        if manifest is not None and manifest["kind"] in OTHER_KINDS:
            raise DetoxbenchError(f"'{given}' holds a {manifest['kind'].replace('_', ' ')}, not a causal LM")
        if ours and not any(folder.glob("*.bin")):  # torch's own format is read by transformers alone
            open_checkpoint(folder)
    if artifact.own_vocabulary:
        return
    if (folder / "config.json").is_file() and not (folder / ADAPTER_CONFIG).is_file() and config is not None:
        theirs, own = _vocabulary(_config(str(folder), None)), _vocabulary(config)
        if theirs is not None and own is not None and theirs != own:
            raise DetoxbenchError(
                f"'{given}' has a vocabulary of {theirs:,} tokens, the base model of {own:,}: they must share one; "
                "fit it for this model"
            )


def _datastore(store: Datastore, config: Any) -> None:
    """Whether keys can be of this model."""
    if config is None:
        return
    ours = ModelIdentity(name="", model_type=config.model_type, vocab_size=_vocabulary(config))
    if difference := store.identity.difference(ours):
        raise DetoxbenchError(
            f"'{store.path}' was made with another model ('{store.identity.name}'): {difference}; "
            "fit one for this model"
        )
    model, width = _skeleton(config), getattr(config.get_text_config(), "hidden_size", None)
    # The architecture's own key layer takes what the blocks hand on; what another one takes, a whole model tells.
    own = model is not None and store.layer in (None, key_layer(model))
    if own and width is not None and store.dim != width:
        raise DetoxbenchError(f"'{store.path}' has keys of dimension {store.dim}, the model's are of dimension {width}")


def _shapes(cls: type[base.Method], parsed: Any, config: Any) -> None:
    """Whether vectors fit the places of a model without weights; what that cannot tell, a whole one tells later."""
    model = _skeleton(config)
    if model is None:
        return
    try:
        cls(model, parsed)  # type: ignore[call-arg]
    except DetoxbenchError:
        raise
    except (RuntimeError, NotImplementedError, ValueError, KeyError, AttributeError, TypeError, OSError):
        return


def _config(pretrained: Any, revision: str | None) -> Any:
    """The configuration of a model that is not loaded; None where it cannot be read, which loading says."""
    if isinstance(pretrained, PreTrainedModel):
        return pretrained.config
    if not isinstance(pretrained, str):
        return None
    try:
        return AutoConfig.from_pretrained(model_folder(pretrained), **({"revision": revision} if revision else {}))
    except (OSError, ValueError, KeyError, ImportError):
        return None


def _vocabulary(config: Any) -> int | None:
    return None if config is None else getattr(config.get_text_config(), "vocab_size", None)


def _skeleton(config: Any) -> PreTrainedModel | None:
    """A model without weights or name; None of an architecture that is not transformers'."""
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, TypeError):
        return None
