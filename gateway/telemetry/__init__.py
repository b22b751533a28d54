"""What is seen from outside of what goes on inside."""
