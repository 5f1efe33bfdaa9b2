"""The static site: `build` turns records into pages that need no server."""
