"""What signing in, verifying sessions and finding people cost: `python -m bench.identity`."""
