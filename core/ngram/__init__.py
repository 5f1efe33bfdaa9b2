"""The embedded n-gram scorer's weights and card (``core.scorers.ngram`` reads them); ``README.md`` says what it is."""
