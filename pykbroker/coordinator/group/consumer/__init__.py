"""Consumer groups (KIP-848): the broker assigns, members are told by their heartbeats."""
