"""The HTTP face: callbacks and health. Knows what a callback is, and no back end."""
