"""How long a server takes from its start to its first right answer, and its memory then."""
