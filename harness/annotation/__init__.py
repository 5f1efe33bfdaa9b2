"""People's judgement of generations: what raters are given, and what comes of their answers."""
