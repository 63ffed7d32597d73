"""Stands in for kafka-python's `test/service.py`: the broker runs already, nothing is started."""


class ExternalService:
    """A broker that somebody else starts and stops."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        """It goes on running."""

    def wait_for(self, *_: object, **__: object) -> None:
        """It is ready."""

    def dump_logs(self) -> None:
        """Its output is not ours."""


class SpawnedService:
    """Only named by the tests: with KAFKA_URI nothing is spawned."""
