"""Faults and time over HTTP, for tests in any language."""
