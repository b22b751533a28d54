"""Gates for CI: what may not get slower than the committed baseline, and by how much."""
