"""What a second worker process adds to the first."""
