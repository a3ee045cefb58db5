"""The results table of docs/results.md: ``python -m assets.results`` trains and measures whatever is missing of it."""
