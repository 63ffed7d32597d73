"""Faults on request: which requests get what instead of their ordinary answer."""
