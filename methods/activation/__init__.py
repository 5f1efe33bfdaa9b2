"""What activation methods share: hooks that are always taken out, responses of texts, vectors on disk."""
