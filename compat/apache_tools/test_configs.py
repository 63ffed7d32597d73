"""kafka-configs: settings of topics, brokers, loggers and groups."""

import re

import pytest

from compat.apache_tools.tools import Tools
from compat.processes import eventually


def _described(tools: Tools, *entity: str) -> dict[str, tuple[str, str]]:
    """Settings as --describe prints them: (value, its synonyms)."""
    lines = tools.out("kafka-configs", "--describe", *entity)
    found = [
        re.fullmatch(r"  (\S+?)=(.*) sensitive=\w+ synonyms=\{(.*)\}", line) for line in lines[1:]
    ]
    assert None not in found, lines
    return {each[1]: (each[2], each[3]) for each in found if each is not None}


def _alter(tools: Tools, *arguments: str) -> str:
    (line,) = tools.out("kafka-configs", "--alter", *arguments)
    return line


def test_a_setting_of_a_topic_is_added_and_removed(tools: Tools, topic: str) -> None:
    entity = ["--entity-type", "topics", "--entity-name", topic]
    said = f"Completed updating config for topic {topic}."
    assert _alter(tools, *entity, "--add-config", "max.message.bytes=2000000") == said
    assert _described(tools, *entity)["max.message.bytes"] == (
        "2000000",
        "DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588",
    )

    assert _alter(tools, *entity, "--delete-config", "max.message.bytes") == said
    assert "max.message.bytes" not in _described(tools, *entity)


def test_several_settings_and_lists_go_in_one_call(tools: Tools, topic: str) -> None:
    entity = ["--topic", topic]
    _alter(tools, *entity, "--add-config", "cleanup.policy=[compact,delete],retention.ms=5000")

    found = _described(tools, *entity)
    assert found["cleanup.policy"][0] == "compact,delete"
    assert found["retention.ms"] == ("5000", "DYNAMIC_TOPIC_CONFIG:retention.ms=5000")


def test_all_settings_of_a_topic_are_described(tools: Tools, topic: str) -> None:
    found = _described(tools, "--topic", topic, "--all")
    assert len(found) == 33
    assert found["retention.ms"][0] == "604800000"
    assert found["cleanup.policy"] == ("delete", "DEFAULT_CONFIG:log.cleanup.policy=delete")
    assert found["segment.bytes"] == (
        "1073741824",
        "DEFAULT_CONFIG:log.segment.bytes=1073741824",
    )


def test_settings_of_all_topics_are_described(tools: Tools, topic: str) -> None:
    said = tools.out("kafka-configs", "--describe", "--entity-type", "topics")
    assert f"Dynamic configs for topic {topic} are:" in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("nope=2", "InvalidConfigurationException: Unknown topic config name: nope"),
        (
            "retention.ms=soon",
            "Invalid value soon for configuration retention.ms: Not a number of type LONG",
        ),
        ("segment.bytes=1", "Invalid value 1 for configuration segment.bytes"),
    ],
)
def test_a_wrong_setting_of_a_topic_is_refused(
    tools: Tools, topic: str, change: str, reason: str
) -> None:
    refused = tools.run(
        "kafka-configs", "--alter", "--topic", topic, "--add-config", change, status=1
    )
    assert reason in refused.describe()


def test_an_unknown_topic_has_no_settings(tools: Tools) -> None:
    entity = ["--entity-type", "topics", "--entity-name", "nowhere"]
    refused = tools.run(
        "kafka-configs", "--alter", *entity, "--add-config", "retention.ms=2", status=1
    )
    assert "UnknownTopicOrPartitionException" in refused.describe()
    assert tools.out("kafka-configs", "--describe", *entity) == [
        "The topic 'nowhere' doesn't exist and doesn't have dynamic config."
    ]


def test_a_setting_of_a_broker_is_added_and_removed(tools: Tools) -> None:
    entity = ["--entity-type", "brokers", "--entity-name", "1"]
    said = "Completed updating config for broker 1."
    assert _alter(tools, *entity, "--add-config", "log.cleaner.threads=2") == said
    assert eventually(lambda: _described(tools, *entity).get("log.cleaner.threads")) == (
        "2",
        "DYNAMIC_BROKER_CONFIG:log.cleaner.threads=2, DEFAULT_CONFIG:log.cleaner.threads=1",
    )
    assert _alter(tools, *entity, "--delete-config", "log.cleaner.threads") == said
    eventually(lambda: "log.cleaner.threads" not in _described(tools, *entity))


def test_a_default_of_all_brokers_is_added_and_removed(tools: Tools) -> None:
    entity = ["--entity-type", "brokers", "--entity-default"]
    said = "Completed updating default config for brokers in the cluster."
    assert _alter(tools, *entity, "--add-config", "log.retention.ms=900000") == said
    wanted = ("900000", "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=900000")
    assert eventually(lambda: _described(tools, *entity).get("log.retention.ms")) == wanted
    one = ["--entity-type", "brokers", "--entity-name", "1", "--all"]
    value, synonyms = _described(tools, *one)["log.retention.ms"]
    assert value == "900000"
    assert synonyms.startswith(wanted[1])
    assert _alter(tools, *entity, "--delete-config", "log.retention.ms") == said
    eventually(lambda: "log.retention.ms" not in _described(tools, *entity))


def test_a_setting_that_is_fixed_at_the_start_is_refused(tools: Tools) -> None:
    entity = ["--entity-type", "brokers", "--entity-name", "1"]
    refused = tools.run("kafka-configs", "--alter", *entity, "--add-config", "node.id=2", status=1)
    assert "Cannot update these configs dynamically: [node.id]" in refused.describe()


def test_all_settings_of_a_broker_are_described(tools: Tools) -> None:
    found = _described(tools, "--entity-type", "brokers", "--entity-name", "1", "--all")
    assert found["num.partitions"][0] == "1"
    assert found["group.min.session.timeout.ms"] == (
        "500",
        "STATIC_BROKER_CONFIG:group.min.session.timeout.ms=500, "
        "DEFAULT_CONFIG:group.min.session.timeout.ms=6000",
    )
    assert found["message.max.bytes"][0] == "1048588"
    assert len(found) > 300


def test_the_level_of_a_logger_is_changed_and_given_back(tools: Tools) -> None:
    entity = ["--entity-type", "broker-loggers", "--entity-name", "1"]
    loggers = _described(tools, *entity)
    assert loggers["root"][0] == "INFO"
    logger = sorted(loggers)[0]
    said = "Completed updating config for broker-logger 1."
    assert _alter(tools, *entity, "--add-config", f"{logger}=DEBUG") == said
    assert _described(tools, *entity)[logger][0] == "DEBUG"
    assert _alter(tools, *entity, "--delete-config", logger) == said
    assert _described(tools, *entity)[logger][0] == "INFO"


@pytest.mark.parametrize("change", ["no.such.logger=DEBUG", "root=LOUD"])
def test_a_wrong_level_or_logger_is_refused(tools: Tools, change: str) -> None:
    entity = ["--entity-type", "broker-loggers", "--entity-name", "1"]
    refused = tools.run("kafka-configs", "--alter", *entity, "--add-config", change, status=1)
    assert refused.out == []


def test_a_setting_of_a_group_is_added_and_removed(tools: Tools, group: str) -> None:
    entity = ["--entity-type", "groups", "--entity-name", group]
    said = f"Completed updating config for group {group}."
    assert _alter(tools, *entity, "--add-config", "consumer.session.timeout.ms=50000") == said
    wanted = (
        "50000",
        "DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000, "
        "DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000",
    )
    found = eventually(lambda: _described(tools, *entity).get("consumer.session.timeout.ms"))
    assert found == wanted
    assert f"Dynamic configs for group {group} are:" in tools.out(
        "kafka-configs", "--describe", "--entity-type", "groups"
    )
    assert _alter(tools, *entity, "--delete-config", "consumer.session.timeout.ms") == said
