"""How toxic language models are, in many languages, under any detoxification method.

>>> import detoxbench
>>> lm = detoxbench.load("mini")
>>> texts = detoxbench.sample(lm, ["The neighbour says"], samples=2)
>>> len(texts), len(texts[0])
(1, 2)

``load`` and ``sample`` give a model under a method and its continuations, ``score`` the toxicity of texts, ``evaluate``
a benchmark's run, ``compare`` two of them, ``methods`` what there is; ``docs/python.md`` is the guide. Everything is
imported on first use: torch takes seconds, and this module runs at the start of every Python process that has the
package installed (see ``harness/autoload.py``).
"""

# pyright: reportMissingImports=false
# In the repository the subpackages lie beside this folder (setup.py); where the package is installed, they lie in it.

TYPE_CHECKING = False  # typing's, without importing typing
if TYPE_CHECKING:
    from .harness.api.comparing import Compared, compare
    from .harness.api.loading import LoadedModel, load
    from .harness.api.run_result import RunResult
    from .harness.api.running import evaluate
    from .harness.api.sampling import sample
    from .harness.api.scoring import TextScores, score
    from .methods.card import cards as methods

    __version__: str

__all__ = ["Compared", "LoadedModel", "RunResult", "TextScores", "__version__", "compare", "evaluate", "load",
           "methods", "sample", "score"]  # fmt: skip


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        found = version("detoxbench")
    elif name in ("load", "LoadedModel"):
        from .harness.api import loading as module

        found = getattr(module, name)
    elif name == "sample":
        from .harness.api.sampling import sample as found
    elif name in ("score", "TextScores"):
        from .harness.api import scoring as module

        found = getattr(module, name)
    elif name == "evaluate":
        from .harness.api.running import evaluate as found
    elif name == "RunResult":
        from .harness.api.run_result import RunResult as found
    elif name in ("compare", "Compared"):
        from .harness.api import comparing as module

        found = getattr(module, name)
    elif name == "methods":
        # "from . import methods" would ask this function again; a submodule once imported is an attribute.
        from .methods import __name__ as _  # noqa: F401

        found = globals()[name]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__():
    return sorted({*globals(), *__all__})
