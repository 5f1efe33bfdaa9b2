"""The study that the tests run."""

SMALL = {
    "orders": ["en ru ko"],
    "samples": 5,
    "limit": 8,
    "static": False,
    "metadata": {"fluency_model": "none"},
    "metrics": "expected_max_toxicity toxic_fraction".split(),
}
