"""What every registered method declares: complete, consistent, and enough for the commands made from it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.harness.cli.fit import app as fitting
from detoxbench.harness.cli.import_ import app as importing
from detoxbench.methods import base
from detoxbench.methods.artifact_arguments import as_fitted, fit_settings, naming
from detoxbench.methods.card import card
from detoxbench.methods.declaration import SIDES, Artifact

KINDS = {
    "none": base.Method, "logit": base.LogitMethod, "activation": base.ActivationMethod, "weight": base.WeightMethod,
    "prompt": base.PromptMethod, "selection": base.SelectionMethod,
}  # fmt: skip
FITTED = [name for name in METHODS if METHODS[name].fit is not None]
IMPORTED = [name for name in METHODS if METHODS[name].imports is not None]
REQUIRED = {"scorer": "mini:reward"}


def helped(app, name):
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.output
    return result.output


def test_there_are_methods():
    assert len(METHODS) >= 10


@pytest.mark.parametrize("name", METHODS)
def test_method(name):
    cls = METHODS[name]
    assert issubclass(cls, KINDS[cls.kind])
    assert cls.about.summary
    assert cls.about.bibtex.startswith("@") or cls.kind == "none"
    assert cls.models >= 1
    assert cls.forwards >= 1
    assert all(field.description for field in cls.Arguments.model_fields.values())
    assert set(cls.on_mini({})) <= set(cls.Arguments.model_fields)
    assert bool(cls.uses) is (cls.fit is not None)
    for use in cls.uses:
        assert {use.argument, *use.when} <= set(cls.Arguments.model_fields)
        assert use.artifact in {one.name for one in cls.fit.artifacts}


@pytest.mark.parametrize("name", METHODS)
def test_card(name):
    found = card(name)
    text = found.markdown()
    readme = (Path(inspect.getfile(METHODS[name])).parent / "README.md").read_text()
    assert text.startswith(readme.strip())
    assert "**Formula.**" in readme or "## Formula" in readme
    for field in METHODS[name].Arguments.model_fields:
        assert f"- `{field}` (" in text
    assert found.bibtex in text
    assert ("detoxbench fit " in text) is (name in FITTED) or not METHODS[name].uses


@pytest.mark.parametrize("name", FITTED)
def test_fit(name):
    fit = METHODS[name].fit
    required = {one: REQUIRED[one] for one, option in fit.settings.options().items() if option.field.is_required()}
    assert fit_settings(name, required).recorded() == fit.parse(required, METHODS[name].fit_settings).recorded()
    assert fit_settings(name, required, fit.mini.settings, fit.mini.studies, fit.unattended)
    assert set(fit.needs) <= set(fit.takes) <= set(SIDES)
    assert set(fit.mini.sides) <= set(fit.takes)
    assert all(path.is_file() for path in fit.mini.files)
    shown = helped(fitting, name)
    for option, declared in fit.settings.options().items():
        if option not in METHODS[name].fit_settings:
            assert "--" + option.replace("_", "-") in shown
            assert declared.field.description
    parameters = inspect.signature(fit.run).parameters
    assert {"texts", "settings", "revision", "device"} <= set(parameters)
    assert ("append" in parameters) is (fit.grows is not None and fit.grows.kind == "append")


@pytest.mark.parametrize("name", IMPORTED)
def test_import(name):
    importer = METHODS[name].imports
    shown = helped(importing, name)
    assert all("--" + option.replace("_", "-") in shown for option in importer.settings.options())


@pytest.mark.parametrize("name", FITTED)
def test_what_was_made_is_named(name, tmp_path):
    cls = METHODS[name]
    assert naming(name, tmp_path, {}) == as_fitted(name, tmp_path) == {}
    for one in cls.fit.artifacts:
        (tmp_path / (f"{one.name}_0" if one.numbered else one.name)).mkdir()
    plain = naming(name, tmp_path, {})
    assert set(plain) == {use.argument for use in cls.uses}
    for use in cls.uses:
        found = Path(naming(name, tmp_path, use.when)[use.argument])
        assert found == tmp_path if use.many else found.name.startswith(use.artifact)
    assert cls.Arguments(**plain)


def test_the_side_that_is_there_says_which_way(tmp_path):
    """A datastore of toxic text alone is one to be turned away from."""
    (tmp_path / "toxic").mkdir()
    assert as_fitted("knn_lm", tmp_path) == {"datastore": str(tmp_path / "toxic"), "mode": "discourage"}
    assert naming("knn_lm", tmp_path, {}) == {}
    assert as_fitted("goodtriever", tmp_path) == {"toxic_datastore": str(tmp_path / "toxic")}


def test_parts_are_in_order_of_their_numbers(tmp_path):
    for number in (10, 2, 0):
        (tmp_path / f"part_{number}").mkdir()
    found = Artifact("part", "", "toxic", numbered=True).paths(tmp_path)
    assert [path.name for path in found] == ["part_0", "part_2", "part_10"]


@pytest.mark.parametrize("app", [fitting, importing])
def test_no_such_method(app):
    result = CliRunner().invoke(app, ["none", "--help"])
    assert isinstance(result.exception, DetoxbenchError)
    assert "'none'" in str(result.exception)
    assert "Allowed: " in str(result.exception)
