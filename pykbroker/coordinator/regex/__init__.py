"""Regular expressions as Apache Kafka's (RE2/J): linear time, whatever the expression."""
