"""The model ``detox`` run by vLLM (``--model_args backend=vllm``): vLLM computes scores, and the tokens are drawn from
them as our own sampler draws them, with the same noise."""
