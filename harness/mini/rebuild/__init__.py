"""Makes the embedded world from its corpus: ``python -m detoxbench.harness.mini.rebuild``."""
