"""One module a format. A module here with a `FORMAT` is a format: a new one is one file, nothing else changes."""
