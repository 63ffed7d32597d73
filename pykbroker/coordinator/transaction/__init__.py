"""Transactions: which producer holds a transactional id, and how its transactions end."""
