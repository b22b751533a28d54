"""What an operator installs is sound."""
