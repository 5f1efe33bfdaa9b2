"""Start-up shim: tells lm-eval about this plugin as soon as, and only if, lm_eval is imported.

lm-eval 0.4.13 looks up ``--model`` and ``--tasks`` in tables of its own before any user code runs, and discovers no
plugins. A ``.pth`` file imports this module at interpreter start-up; it puts one finder on ``sys.meta_path``, which
does nothing until one of the lm_eval modules below is imported, and then runs its hook from ``plugin.py`` after it.
Releases that discover entry points find the model there first; registering it again is then skipped.

This module imports nothing but ``sys``, for it runs in every Python process of the environment.
"""

import sys

HOOKED = {
    "lm_eval.models": "register_models",
    "lm_eval.tasks.manager": "add_task_folder",
    "lm_eval.evaluator": "check_before_loading",
    "lm_eval.loggers.evaluation_tracker": "save_whole",
    "lm_eval.utils": "shorten_tables",
    "lm_eval._cli.harness": "show_errors_in_one_line",
}
"""lm_eval module -> the function of ``plugin.py`` that is called with it, right after it has been executed."""


class _Loader:
    """Delegates to the module's own loader, then calls the hook."""

    def __init__(self, loader, hook):
        self._loader = loader
        self._hook = hook

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        module.__spec__.loader = module.__loader__ = self._loader
        try:
            from . import plugin

            getattr(plugin, self._hook)(module)
        except Exception as error:  # a broken plugin must not break lm_eval for everybody else
            sys.stderr.write(f"detoxbench: could not hook {module.__name__}: {error!r}\n")


class Finder:
    """A meta-path finder that claims only the modules in ``HOOKED``."""

    def __init__(self):
        self._searching = False

    def find_spec(self, name, path=None, target=None):
        if self._searching or name not in HOOKED:
            return None
        from importlib.util import find_spec

        self._searching = True  # let the other finders answer
        try:
            spec = find_spec(name)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, HOOKED[name])
        return spec


def install():
    """Put the finder first, once a process."""
    if not any(type(finder).__name__ == "Finder" and type(finder).__module__ == __name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


install()
