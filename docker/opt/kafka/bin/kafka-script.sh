#!/bin/sh
# Each script of Kafka's that is here is a link to this one; its name says what to do.
exec pykbroker kafka-script "$(basename "$0" .sh)" "$@"
