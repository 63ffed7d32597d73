"""kafka-topics: create, alter, describe, list and delete topics."""

import re

from compat.apache_tools.tools import Tools

ERROR = "Error while executing topic command : "


def test_a_topic_is_created_altered_described_listed_and_deleted(tools: Tools) -> None:
    create = ["--create", "--topic", "life", "--partitions", "3", "--replication-factor", "1"]
    assert tools.out("kafka-topics", *create) == ["Created topic life."]
    assert tools.out("kafka-topics", "--alter", "--topic", "life", "--partitions", "4") == []

    summary, *partitions = tools.out("kafka-topics", "--describe", "--topic", "life")
    assert re.fullmatch(
        r"Topic: life\tTopicId: [\w-]{22}\tPartitionCount: 4\tReplicationFactor: 1\tConfigs: .*",
        summary,
    )
    assert partitions == [
        f"\tTopic: life\tPartition: {number}\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: "
        for number in range(4)
    ]
    assert "life" in tools.out("kafka-topics", "--list")

    assert tools.out("kafka-topics", "--delete", "--topic", "life") == []
    assert "life" not in tools.out("kafka-topics", "--list")


def test_settings_of_a_new_topic_are_described(tools: Tools) -> None:
    tools.create_topic("configured", retention_ms="100000", cleanup_policy="compact")

    (summary,) = tools.out(
        "kafka-topics", "--describe", "--topics-with-overrides", "--topic=configured"
    )
    settings = summary.rpartition("Configs: ")[2].split(",")
    # Kafka has stored a default of min.insync.replicas for its whole cluster by itself.
    assert [each for each in settings if not each.startswith("min.insync.replicas")] == [
        "cleanup.policy=compact",
        "retention.ms=100000",
    ]


def test_replicas_can_be_assigned_by_hand(tools: Tools) -> None:
    create = ["--create", "--topic", "by-hand", "--replica-assignment", "1,1"]
    assert tools.out("kafka-topics", *create) == ["Created topic by-hand."]
    assert len(tools.out("kafka-topics", "--describe", "--topic", "by-hand")) == 1 + 2


def test_a_name_with_a_dot_is_warned_of(tools: Tools) -> None:
    warning, created = tools.out("kafka-topics", "--create", "--topic", "with.dot")
    assert warning.startswith("WARNING: Due to limitations in metric names")
    assert created == "Created topic with.dot."
    # Names of metrics would be the same for both: the broker refuses the second one.
    refused = tools.run("kafka-topics", "--create", "--topic", "with_dot", status=1)
    assert refused.out[-1] == f"{ERROR}Topic 'with_dot' collides with existing topic: with.dot"


def test_a_topic_that_exists_is_not_created_again(tools: Tools, topic: str) -> None:
    refused = tools.run("kafka-topics", "--create", "--topic", topic, status=1)
    assert refused.out == [f"{ERROR}Topic '{topic}' already exists."]
    assert tools.out("kafka-topics", "--create", "--topic", topic, "--if-not-exists") == []


def test_an_unknown_topic_is_an_error(tools: Tools) -> None:
    for action in (["--describe"], ["--delete"], ["--alter", "--partitions", "2"]):
        refused = tools.run("kafka-topics", *action, "--topic", "nowhere", status=1)
        assert refused.out == [f"{ERROR}Topic 'nowhere' does not exist as expected"]
        assert tools.out("kafka-topics", *action, "--topic", "nowhere", "--if-exists") == []


def test_what_cannot_be_created_says_why(tools: Tools) -> None:
    reasons = {
        ("two-replicas", "--replication-factor", "2"): (
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot"
            " be reached because only 1 broker(s) are registered"
        ),
        ("no-such-setting", "--config", "nope=1"): "Unknown topic config name: nope",
        ("no/name",): (
            "Topic name is invalid: 'no/name' contains one or more characters other than ASCII"
            " alphanumerics, '.', '_' and '-'"
        ),
        ("unknown-broker", "--replica-assignment", "7"): (
            "The manual partition assignment includes broker 7, but no such broker is registered."
        ),
        (
            "twice-the-same",
            "--replica-assignment",
            "1:1",
        ): "Partition replica lists may not contain",
    }
    for arguments, reason in reasons.items():
        refused = tools.run("kafka-topics", "--create", "--topic", *arguments, status=1)
        assert refused.out[-1].startswith(f"{ERROR}{reason}"), refused.describe()


def test_partitions_cannot_become_fewer(tools: Tools) -> None:
    tools.create_topic("shrinking", partitions=3)

    refused = tools.run("kafka-topics", "--alter", "--topic=shrinking", "--partitions=2", status=1)
    assert refused.out == [
        f"{ERROR}The topic shrinking currently has 3 partition(s); 2 would not be an increase."
    ]


def test_internal_topics_can_be_left_out(tools: Tools, topic: str, group: str) -> None:
    tools.produce(topic, "one")
    tools.run(
        "kafka-console-consumer", f"--topic={topic}", f"--group={group}", "--from-beginning",
        "--max-messages=1",
    )  # fmt: skip

    assert "__consumer_offsets" in tools.out("kafka-topics", "--list")
    rest = tools.out("kafka-topics", "--list", "--exclude-internal")
    assert topic in rest
    assert "__consumer_offsets" not in rest


def test_topics_are_chosen_by_a_regular_expression(tools: Tools) -> None:
    for each in ("chosen-1", "chosen-2"):
        tools.create_topic(each)

    assert tools.out("kafka-topics", "--list", "--topic", "chosen-.") == ["chosen-1", "chosen-2"]
    tools.run("kafka-topics", "--delete", "--topic", "chosen-.")
    assert tools.out("kafka-topics", "--list", "--topic", "chosen-.") == []


def test_a_healthy_topic_is_in_no_list_of_unhealthy_ones(tools: Tools, topic: str) -> None:
    for choice in (
        "--under-replicated-partitions",
        "--unavailable-partitions",
        "--under-min-isr-partitions",
    ):
        assert tools.out("kafka-topics", "--describe", choice) == []
    (partition,) = tools.out(
        "kafka-topics", "--describe", "--at-min-isr-partitions", "--topic", topic
    )
    assert partition.startswith(f"\tTopic: {topic}\tPartition: 0\tLeader: 1")
