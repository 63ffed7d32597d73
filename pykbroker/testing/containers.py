"""`PykbrokerContainer`: the broker in a container, for tests that use testcontainers.

Needs the extra `testcontainers`, and an image made with this project's Dockerfile. Tests of Python
alone do better with `Broker`, which needs neither.

The container has two listeners. Port 9093 is published: its advertised address names the port that
Docker has chosen, which is known only when the container runs, so the container waits for it
before it starts the broker. Port 9092 is for other containers of its network: it has no advertised
address, so each client is told the one that it has connected to.
"""

import shlex
from typing import Final, Self

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from pykbroker.config.environment import value_for, variable_of

DEFAULT_IMAGE: Final = "pykbroker"
NETWORK_PORT: Final = 9092
PUBLISHED_PORT: Final = 9093
START_TIMEOUT_S: Final = 30
POLL_INTERVAL_S: Final = 0.02
READY_LINE: Final = "^ready: "
LISTENERS: Final = f"PLAINTEXT://:{NETWORK_PORT},PUBLISHED://:{PUBLISHED_PORT}"
_ADDRESS_FILE: Final = "/tmp/advertised.listeners"  # noqa: S108 - in the container
_START: Final = (
    f"until [ -e {_ADDRESS_FILE} ]; do sleep {POLL_INTERVAL_S}; done; "
    f'exec pykbroker container "KAFKA_ADVERTISED_LISTENERS=$(cat {_ADDRESS_FILE})"'
)


class PykbrokerContainer(DockerContainer):  # type: ignore[misc]  # testcontainers is not looked into
    """A broker in a container: `with PykbrokerContainer() as broker: broker.bootstrap_servers`.

    Nothing is fsynced, since the data goes with the container; `with_setting` changes that.
    """

    def __init__(self, image: str = DEFAULT_IMAGE, **options: object) -> None:
        """Prepare a container; `options` are those of testcontainers' `DockerContainer`."""
        super().__init__(image, **options)
        self.with_exposed_ports(PUBLISHED_PORT)
        self.with_command(["sh", "-c", _START])
        self.with_setting("listeners", LISTENERS)
        self.with_setting(
            "listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,PUBLISHED:PLAINTEXT"
        )
        self.with_setting("pykbroker.fsync", "never")

    def with_setting(self, name: str, value: str) -> Self:
        """Set a broker setting by Kafka's name."""
        self.with_env(variable_of(name), value_for(value))
        return self

    def start(self) -> Self:
        """Start the container and wait until its broker accepts connections."""
        super().start()
        status, output = self.exec(["sh", "-c", publish_command(self.bootstrap_servers)])
        if status != 0:
            raise RuntimeError(f"the container does not run: {output.decode(errors='replace')}")
        ready = LogMessageWaitStrategy(READY_LINE)
        ready.with_startup_timeout(START_TIMEOUT_S).with_poll_interval(POLL_INTERVAL_S)
        ready.wait_until_ready(self)
        return self

    @property
    def bootstrap_servers(self) -> str:
        """Where clients on this machine connect, as HOST:PORT."""
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(PUBLISHED_PORT)}"

    def get_bootstrap_server(self) -> str:
        """Return `bootstrap_servers`, under the name that testcontainers' KafkaContainer has."""
        return self.bootstrap_servers


def publish_command(address: str) -> str:
    """Return the shell's command that gives a waiting container its address, in one step."""
    listener = shlex.quote(f"PUBLISHED://{address}")
    return f"echo {listener} > {_ADDRESS_FILE}.new && mv {_ADDRESS_FILE}.new {_ADDRESS_FILE}"
