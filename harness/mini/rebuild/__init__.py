"""Makes the embedded world from its corpus: ``python -m detoxbench.core.mini.rebuild``."""
