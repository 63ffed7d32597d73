"""Apache Kafka's command line tools by the names of their scripts, run in one JVM."""

from collections.abc import Mapping
from typing import Self

from compat.jvm import CALL_SECONDS, Call, JavaTools, java_process
from compat.processes import LineProcess

CLASSES: Mapping[str, str] = {
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-client-compatibility": "org.apache.kafka.tools.ClientCompatibilityTest",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-replica-verification": "org.apache.kafka.tools.ReplicaVerificationTool",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}


class Tools:
    """The tools, each pointed at one broker."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._jvm: JavaTools | None = None

    @property
    def jvm(self) -> JavaTools:
        """The JVM; a new one after a tool did not come to its end in an older one."""
        if self._jvm is None or not self._jvm.is_running:
            self._jvm = JavaTools()
        return self._jvm

    def start(self, tool: str, *arguments: str, text_input: str = "") -> Call:
        """Start a tool that runs until it is stopped."""
        everything = [*arguments, "--bootstrap-server", self.address]
        return self.jvm.start(CLASSES[tool], *everything, text_input=text_input)

    def run(
        self,
        tool: str,
        *arguments: str,
        text_input: str = "",
        status: int = 0,
        seconds: float = CALL_SECONDS,
    ) -> Call:
        """Run a tool to its end, which must have this exit status."""
        call = self.start(tool, *arguments, text_input=text_input)
        self.jvm.finish(call, seconds=seconds)
        assert call.status == status, call.describe()
        return call

    def process(self, tool: str, *arguments: str) -> LineProcess:
        """A JVM of its own, for tools that end by themselves only as a process does."""
        return java_process(CLASSES[tool], *arguments, "--bootstrap-server", self.address)

    def out(self, tool: str, *arguments: str) -> list[str]:
        """What a tool prints on standard output, without empty lines."""
        return [line for line in self.run(tool, *arguments).out if line]

    def create_topic(self, topic: str, partitions: int = 1, **settings: str) -> str:
        """Create a topic with kafka-topics; gives its name back."""
        configs: list[str] = []
        for key, value in settings.items():
            configs += ["--config", f"{key.replace('_', '.')}={value}"]
        self.run(
            "kafka-topics", "--create", "--topic", topic, f"--partitions={partitions}", *configs
        )
        return topic

    def produce(self, topic: str, *lines: str) -> None:
        """Send lines with kafka-console-producer, a key before a colon where there is one."""
        keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
        options = keyed if all(":" in line for line in lines) else []
        text = "".join(f"{line}\n" for line in lines)
        self.run("kafka-console-producer", "--topic", topic, *options, text_input=text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._jvm is not None and self._jvm.is_running:
            self._jvm.close()


def table(lines: list[str]) -> list[dict[str, str]]:
    """Rows of a table whose columns are separated by blanks; its first line names them."""
    header, *rows = [line.split() for line in lines if line and not line.startswith("Warn: ")] or [
        []
    ]
    return [dict(zip(header, row, strict=False)) for row in rows]
