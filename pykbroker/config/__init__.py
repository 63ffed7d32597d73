"""Settings: what every Kafka setting is called, accepts and does, and the typed views of them."""
