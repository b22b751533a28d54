"""Receiving: which handler takes a message, how it is called, and what is answered."""
