"""What is seen from outside: log lines, and what is masked in them."""
