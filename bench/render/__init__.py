"""bench/README.md, and marked regions of other documents, written from the result files."""
