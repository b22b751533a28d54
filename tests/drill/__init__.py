"""The kill-and-count drill: load while everything is killed and cut, then each message counted."""
