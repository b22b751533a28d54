"""Stress: virtual users that call a gateway as WeChat does, over a profile of load."""
