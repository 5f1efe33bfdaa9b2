"""The study that the tests run."""

SMALL = {
    "orders": ["en it pt"],
    "samples": 5,
    "limit": 40,
    "static": False,
    "metadata": {"fluency_model": "none"},
    "metrics": "expected_max_toxicity toxic_fraction".split(),
}
