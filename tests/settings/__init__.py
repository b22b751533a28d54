"""Settings: where each comes from, and what is refused, with its name and its fix."""
