"""Arithmetic on checkpoints: the mean of fine-tuned models' differences, added to or taken from a base model.

Nothing here loads a model. Tensors are read in slices from safetensors files and written as they are done, so memory
does not grow with the model or with the number of fine-tuned ones; transformers is not needed.
"""
