"""The HTTP API of pushing: /push, for services that hold an API key."""
