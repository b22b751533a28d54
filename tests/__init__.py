"""The tests: each folder mirrors a package of the gateway; e2e starts real servers."""
