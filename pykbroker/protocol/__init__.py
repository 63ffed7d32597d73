"""The wire and record formats of Kafka: pure code, no I/O, no clock."""
