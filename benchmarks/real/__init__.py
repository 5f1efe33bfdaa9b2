"""Two small real models under every method: data, models, guides, studies, records. See README.md."""
