from pykbroker.config.broker_keys import BROKER_KEYS
from pykbroker.config.group_keys import GROUP_KEYS
from pykbroker.config.synonyms import (
    BROKER_SYNONYMS,
    GROUP_SYNONYMS,
    TOPIC_SYNONYMS,
    UNIT_MS,
    broker_synonyms,
    merge_settings,
)
from pykbroker.config.topic import TOPIC_KEYS


def test_all_synonyms_are_settings() -> None:
    assert TOPIC_SYNONYMS.keys() <= TOPIC_KEYS.keys()
    assert set(TOPIC_SYNONYMS.values()) <= BROKER_KEYS.keys()
    assert GROUP_SYNONYMS.keys() <= {key.name for key in GROUP_KEYS}
    assert set(GROUP_SYNONYMS.values()) <= BROKER_KEYS.keys()
    assert UNIT_MS.keys() <= BROKER_KEYS.keys()
    for name, names in BROKER_SYNONYMS.items():
        assert name in names
        assert set(names) <= BROKER_KEYS.keys()


def test_types_and_defaults_agree_where_a_broker_setting_fills_in() -> None:
    for topic_name, broker_name in TOPIC_SYNONYMS.items():
        topic, broker = TOPIC_KEYS[topic_name], BROKER_KEYS[broker_name]
        assert topic.type is broker.type, topic_name
        if broker.default is not None:
            assert topic.default == broker.default, topic_name


def test_the_finer_unit_counts_first() -> None:
    assert broker_synonyms("log.retention.hours")[0] == "log.retention.ms"
    assert broker_synonyms("num.partitions") == ("num.partitions",)


def test_a_later_layer_wins() -> None:
    assert merge_settings([{"a": "1", "b": "1"}, {"b": "2"}, {"c": "3"}]) == {
        "a": "1",
        "b": "2",
        "c": "3",
    }


def test_a_later_layer_hides_synonyms_of_the_earlier_ones() -> None:
    merged = merge_settings([{"log.retention.minutes": "5"}, {"log.retention.ms": "7"}])

    assert merged == {"log.retention.ms": "7"}


def test_synonyms_in_one_layer_stay_beside_each_other() -> None:
    both = {"log.retention.minutes": "5", "log.retention.ms": "7"}

    assert merge_settings([{}, both]) == both
