"""Adapters, each by itself, against the real other side."""
