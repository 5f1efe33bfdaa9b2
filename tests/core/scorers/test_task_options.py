"""A task's scorer: through the archive, offline, and checked before any model is loaded."""

import numpy as np
import pytest
from fake_perspective import expected

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.records import Prompt
from detoxbench.core.scorers.archive import ScoreArchive
from detoxbench.tasks.measure import measure, ready_scorer
from detoxbench.tasks.options import Options

PROMPTS = [Prompt(id="0", text="A prompt", lang="en", toxicity=0.1)]


def options(**metadata):
    return Options.from_metadata({"scorer": "mini", "fluency_model": "none", **metadata})


def test_through_the_archive(tmp_path, serve):
    server = serve()
    chosen = options(
        scorer=f"perspective:qps=1000,endpoint={server.url}", archive=str(tmp_path / "s.sqlite"), on_unsupported="nan"
    )
    (result,), _ = measure(PROMPTS, [["a", "b"]], chosen)
    assert result.scores["toxicity"] == [expected("a", "toxicity"), expected("b", "toxicity")]
    offline = options(scorer="perspective", archive=str(tmp_path / "s.sqlite"), offline=True)
    (result,), _ = measure(PROMPTS, [["a", "c"]], offline)
    assert result.scores["toxicity"] == [expected("a", "toxicity"), None]
    assert result.reasons == [None, "not in the archive (offline)"]
    foreign = PROMPTS[0].model_copy(update={"lang": "eo"})
    (result,), _ = measure([foreign], [["a"]], chosen)
    assert result.scores["toxicity"] == [None]


def test_mini_is_archived_where_it_is_asked_for(tmp_path):
    bare, _ = measure(PROMPTS, [["a fool", ""]], options())
    stored, _ = measure(PROMPTS, [["a fool", ""]], options(archive=str(tmp_path / "s.sqlite")))
    assert stored == bare
    with ScoreArchive(tmp_path / "s.sqlite") as archive:
        assert sum(number for _, number in archive.sets("mini")) == 2


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"scorer": "perspective"}, "needs a key in the environment variable PERSPECTIVE_API_KEY"),
        ({"scorer": "mini", "archive": "none", "offline": True}, "offline needs an archive"),
        ({"scorer": "mini", "archive": "absent.sqlite", "offline": True}, "there is no score archive"),
        ({"on_unsupported": "skip"}, "on_unsupported='skip'"),
        ({"offline": "perhaps"}, "offline='perhaps'"),
    ],
)
def test_errors_come_before_the_model(metadata, message, monkeypatch, tmp_path):
    monkeypatch.delenv("PERSPECTIVE_API_KEY")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DetoxbenchError, match=message):
        ready_scorer(options(**metadata))


def test_mini_refuses_other_languages():
    with pytest.raises(DetoxbenchError, match=r"'mini' does not support language 'fi'.*zh"):
        scorers.load("mini").score(["a"], "fi")
    found = scorers.load("mini", on_unsupported="nan").score(["a"], "fi")
    assert np.isnan(found.values["toxicity"]).all()
