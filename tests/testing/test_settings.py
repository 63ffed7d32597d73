from pathlib import Path

import pytest

from pykbroker.config.broker import BrokerConfig
from pykbroker.testing.settings import TEST_DEFAULTS, broker_settings, setting_text


def test_the_settings_make_a_config() -> None:
    settings = broker_settings({"num.partitions": 3}, Path("there"), 1234)

    config = BrokerConfig.from_settings(settings)

    assert config.num_partitions == 3
    assert config.log_dirs == ("there",)
    assert [(each.host, each.port) for each in config.listeners] == [("127.0.0.1", 1234)]
    assert config.settings_without_effect == ()


def test_a_test_has_the_last_word() -> None:
    assert TEST_DEFAULTS["pykbroker.fsync"] == "never"

    settings = broker_settings({"pykbroker.fsync": "always"}, Path("there"), 0)

    assert settings["pykbroker.fsync"] == "always"


@pytest.mark.parametrize("name", ["listeners", "advertised.listeners", "log.dirs", "log.dir"])
def test_address_and_place_are_the_brokers_own(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be set"):
        broker_settings({name: "x"}, Path("there"), 0)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (7, "7"), ("a,b", "a,b"), (0.5, "0.5")]
)
def test_values_are_written_as_in_a_file(value: str | float | bool, text: str) -> None:
    assert setting_text(value) == text
