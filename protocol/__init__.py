"""Build-time only: the schema texts and the tools that turn them into code."""
