"""Guard models that run here: a causal LM, how it is asked, and the probability of its answer."""
