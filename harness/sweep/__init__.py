"""A sweep: models x methods x task groups x seeds, as cells that run alone and are known by their content.

``spec`` is the YAML file; ``cells`` what it names, checked; ``plan`` makes jobs of them: artifacts first, then runs of
lm-eval; ``worker`` does one job in a process of its own; ``local`` and ``on_ray`` are the engines; ``store`` shares
artifacts between machines; ``run`` keeps the folder; ``estimate`` says beforehand what it takes.
"""
