"""Who users are, over HTTP: signing in, sessions, and what is known of people."""
