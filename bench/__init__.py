"""Measurements of the gateway: kernels alone (micro) and whole servers under load (load)."""
