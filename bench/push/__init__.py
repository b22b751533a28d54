"""How many template messages a second one core sends, to a platform that counts what arrives."""
