"""Groups and committed offsets as pure, synchronous state machines."""
