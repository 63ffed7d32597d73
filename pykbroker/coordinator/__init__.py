"""Coordinators: who is in a group, who owns what, and which offsets were committed."""
