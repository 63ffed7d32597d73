"""Checking a data directory without changing it; see README.md."""
