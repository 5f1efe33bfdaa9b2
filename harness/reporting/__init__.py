"""Results for readers: tables of papers, figures, references, model cards, and the end of a run."""
