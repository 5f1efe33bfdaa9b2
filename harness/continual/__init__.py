"""Continual mitigation: one language or domain is added at a time, and everything is evaluated after each step.

``spec`` is the YAML file; ``data`` the texts of each step; ``steps`` the artifacts after each; ``evaluate`` one run of
lm-eval; ``run`` puts them together; ``measured`` and ``results`` make the matrices step x language, ``report`` and
``plot`` show them.
"""
