"""Maps the folders at the root into one import package, and ships the start-up line for lm-eval 0.4.13.

That line (see harness/autoload.py) is a ``.pth`` file, which has to lie at the top of site-packages. setuptools has no
setting for that, so the wheel's and the editable wheel's build step copy it there; pip records it, and removes it on
uninstall.
"""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

PTH = Path(__file__).parent / "harness" / "autoload.pth"
NAME = "detoxbench_autoload.pth"
NAMED = "detoxbench"
"""The folder of the import package itself, which holds its Python functions' names alone."""
FOLDERS = ("core", "harness", "tasks", "methods", "leaderboard")
PACKAGES = [
    NAMED,
    *(f"{NAMED}.{package}" for folder in FOLDERS for package in find_packages(".", include=[folder, f"{folder}.*"])),
]


class BuildWithPth(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(str(PTH), str(Path(self.build_lib) / NAME), preserve_mode=False)

    def get_outputs(self, include_bytecode=True):
        extra = [] if self.editable_mode else [str(Path(self.build_lib) / NAME)]
        return [*super().get_outputs(include_bytecode), *extra]


class EditableWithPth(editable_wheel):
    def _run_build_commands(self, dist_name, unpacked_wheel, build_lib, tmp_dir):
        (Path(unpacked_wheel) / NAME).write_text(PTH.read_text())
        return super()._run_build_commands(dist_name, unpacked_wheel, build_lib, tmp_dir)


setup(
    packages=PACKAGES,
    package_dir={NAMED: NAMED, **{f"{NAMED}.{folder}": folder for folder in FOLDERS}},
    cmdclass={"build_py": BuildWithPth, "editable_wheel": EditableWithPth},
)
