"""What clients and brokers say to each other, as JSON lines."""
