"""Latency at a constant arrival rate, which no slow answer holds up."""
