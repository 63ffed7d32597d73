"""Tools that send and read many records: measuring ones, verifying ones, compatibility."""

import json
import re
from typing import Any

import pytest

from compat.apache_tools.tools import CLASSES, Tools
from compat.jvm import java_process
from compat.processes import LineProcess

RECORDS = 20_000


def _events(process: LineProcess, name: str) -> list[dict[str, Any]]:
    """What a verifiable client has said of this kind."""
    said = [json.loads(line) for line in process.lines if line.startswith("{")]
    return [event for event in said if event["name"] == name]


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_producer_and_consumer_performance(tools: Tools, topic: str, acks: str) -> None:
    call = tools.run(
        "kafka-producer-perf-test", f"--topic={topic}", f"--num-records={RECORDS}",
        "--record-size=100", "--throughput=-1", "--command-property", f"acks={acks}",
    )  # fmt: skip
    assert re.match(rf"{RECORDS} records sent, [\d.]+ records/sec", call.out[-1])
    assert tools.out("kafka-get-offsets", "--topic", topic) == [f"{topic}:0:{RECORDS}"]

    said = tools.out(
        "kafka-consumer-perf-test", f"--topic={topic}", f"--num-records={RECORDS}",
        "--timeout=30000",
    )  # fmt: skip
    figures = dict(zip(said[0].split(", "), said[1].split(", "), strict=True))
    assert figures["data.consumed.in.nMsg"] == str(RECORDS)


def test_a_limited_throughput_is_kept(tools: Tools, topic: str) -> None:
    call = tools.run(
        "kafka-producer-perf-test", f"--topic={topic}", "--num-records=1000", "--record-size=100",
        "--throughput=1000", "--print-metrics", "--command-property", "compression.type=lz4",
    )  # fmt: skip
    found = re.match(r"1000 records sent, ([\d.]+) records/sec", call.out[0])
    assert found is not None
    assert float(found[1]) < 1100
    assert any(line.startswith("producer-metrics:record-send-total:") for line in call.out)


@pytest.mark.parametrize("acks", ["1", "all"])
def test_end_to_end_latency(tools: Tools, topic: str, acks: str) -> None:
    said = tools.out(
        "kafka-e2e-latency", f"--topic={topic}", "--num-records=300", f"--producer-acks={acks}",
        "--record-size=100",
    )  # fmt: skip
    assert re.match(r"Avg latency: [\d.]+ ms", said[-2])
    assert said[-1].startswith("Percentiles: 50th = ")


@pytest.mark.parametrize("acks", ["1", "-1"])
def test_verifiable_producer_and_consumer(tools: Tools, topic: str, group: str, acks: str) -> None:
    options = [f"--topic={topic}", "--max-messages=500"]
    sent = tools.process("kafka-verifiable-producer", *options, f"--acks={acks}")
    assert sent.wait(seconds=60) == 0, sent.describe()
    (summary,) = _events(sent, "tool_data")
    assert (summary["sent"], summary["acked"]) == (500, 500)
    acknowledged = _events(sent, "producer_send_success")
    assert [event["value"] for event in acknowledged] == [str(number) for number in range(500)]
    assert [event["offset"] for event in acknowledged] == list(range(500))

    read = tools.process("kafka-verifiable-consumer", *options, f"--group-id={group}")
    assert read.wait(seconds=60) == 0, read.describe()
    assert sum(event["count"] for event in _events(read, "records_consumed")) == 500
    committed = _events(read, "offsets_committed")
    assert all(event["success"] for event in committed)
    assert committed[-1]["offsets"] == [{"topic": topic, "partition": 0, "offset": 500}]
    assert len(_events(read, "shutdown_complete")) == 1


def test_client_compatibility(tools: Tools, topic: str) -> None:
    """The seven features of a broker that this tool looks for; ACLs only where they are served."""
    apis = tools.out("kafka-broker-api-versions")
    has_acls = any("DescribeAcls(29)" in line and "usable" in line for line in apis)
    supported = {
        "offsets-for-times": True,
        "cluster-id": True,
        "create-topics": True,
        "describe-acls": has_acls,
        "describe-configs": True,
        "idempotent-producer": True,
    }
    options = [f"--{name}-supported={answer}" for name, answer in supported.items()]
    # Brokers since 0.10.1 answer the first record of a fetch however large it is.
    options += ["--expect-record-too-large-exception=False", "--num-cluster-nodes=1"]
    call = tools.run("kafka-client-compatibility", f"--topic={topic}", *options)
    assert call.out[-1].startswith("SUCCESS")
    tools.run("kafka-topics", "--delete", "--topic", "newtopic")


def test_replicas_do_not_lag(tools: Tools, topic: str) -> None:
    tools.produce(topic, "one", "two")
    # It knows no --bootstrap-server, and runs until it is ended.
    options = ["--topics-include", topic, "--report-interval-ms", "500"]
    process = java_process(
        CLASSES["kafka-replica-verification"], "--broker-list", tools.address, *options
    )
    process.wait_for(lambda line: "max lag is 0" in line or None, what="a report")
    process.kill()


def test_every_advertised_api_is_one_that_kafka_knows(tools: Tools) -> None:
    said = tools.out("kafka-broker-api-versions")
    assert said[0] == f"{tools.address} (id: 1 rack: null isFenced: false) -> ("
    assert not [line for line in said if "UNKNOWN" in line]
    usable = {found[1] for line in said if (found := re.search(r"(\w+)\(\d+\): .*usable", line))}
    assert usable >= {
        "Produce",
        "Fetch",
        "Metadata",
        "JoinGroup",
        "CreateTopics",
        "DescribeCluster",
    }


def test_cluster_id_and_endpoints(tools: Tools) -> None:
    (said,) = tools.out("kafka-cluster", "cluster-id")
    assert re.fullmatch(r"Cluster ID: [\w-]{22}", said)
    header, endpoint = tools.out("kafka-cluster", "list-endpoints")
    assert header.split() == ["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"]
    host, port = tools.address.split(":")
    assert endpoint.split() == ["1", host, port, "null", "unfenced", "broker"]
