"""Whether jobs that wait get in the way: claims from a long queue, and how soon a message goes."""
