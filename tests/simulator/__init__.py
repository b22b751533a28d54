"""Tests of the platform on the desk."""
