"""What WeChat's bytes mean: no loop, clock, randomness, environment or network in here."""
