import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.config.keys import (
    ConfigError,
    ConfigKey,
    ConfigType,
    UpdateMode,
    default_value,
    key,
    parse_value,
)
from pykbroker.config.validators import at_least


def a_key(kind: ConfigType, default: str | None = None) -> ConfigKey:
    return key("some.setting", kind, default, None, "What it does.")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ConfigType.BOOLEAN, "TRUE", True),
        (ConfigType.BOOLEAN, " false ", False),
        (ConfigType.INT, " 7 ", 7),
        (ConfigType.INT, "+7", 7),
        (ConfigType.INT, "-2147483648", -(1 << 31)),
        (ConfigType.SHORT, "32767", 32767),
        (ConfigType.LONG, "9223372036854775807", (1 << 63) - 1),
        (ConfigType.DOUBLE, "0.5", 0.5),
        (ConfigType.DOUBLE, ".5", 0.5),
        (ConfigType.DOUBLE, "1.7976931348623157E308", 1.7976931348623157e308),
        (ConfigType.STRING, " a b ", "a b"),
        (ConfigType.CLASS, "org.example.Thing", "org.example.Thing"),
        (ConfigType.PASSWORD, "secret", "secret"),
        (ConfigType.LIST, "", ()),
        (ConfigType.LIST, "a , b,c", ("a", "b", "c")),
        (ConfigType.LIST, "a,b,a", ("a", "b")),
    ],
)
def test_text_becomes_a_value_of_the_type(kind: ConfigType, text: str, value: object) -> None:
    assert parse_value(a_key(kind), text) == value


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (ConfigType.BOOLEAN, "yes", "Expected value to be either true or false"),
        (ConfigType.INT, "abc", "Not a number of type INT"),
        (ConfigType.INT, "", "Not a number of type INT"),
        (ConfigType.INT, "1_000", "Not a number of type INT"),
        (ConfigType.INT, "2147483648", "Not a number of type INT"),
        (ConfigType.INT, "1.5", "Not a number of type INT"),
        (ConfigType.SHORT, "32768", "Not a number of type SHORT"),
        (ConfigType.LONG, "9223372036854775808", "Not a number of type LONG"),
        (ConfigType.LONG, "9" * 5000, "Not a number of type LONG"),
        (ConfigType.DOUBLE, "half", "Not a number of type DOUBLE"),
    ],
)
def test_malformed_text_is_refused_in_the_words_of_kafka(
    kind: ConfigType, text: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(a_key(kind), text)

    assert str(caught.value) == f"Invalid value {text} for configuration some.setting: {reason}"


def test_the_validator_is_asked_about_the_value() -> None:
    positive = key("some.setting", ConfigType.INT, "1", at_least(1), "A number.")

    assert parse_value(positive, "1") == 1
    with pytest.raises(ConfigError, match="Value must be at least 1"):
        parse_value(positive, "0")


@given(
    st.sampled_from([ConfigType.SHORT, ConfigType.INT, ConfigType.LONG, ConfigType.DOUBLE]),
    st.text(max_size=20),
)
@settings(max_examples=50)
def test_any_text_is_a_value_or_a_config_error(kind: ConfigType, text: str) -> None:
    try:
        value = parse_value(a_key(kind), text)
    except ConfigError:
        return
    assert isinstance(value, int | float)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
@settings(max_examples=50)
def test_every_long_is_read_back(number: int) -> None:
    assert parse_value(a_key(ConfigType.LONG), str(number)) == number


def test_a_default_is_a_value_too() -> None:
    assert default_value(a_key(ConfigType.INT, "7")) == 7
    assert default_value(a_key(ConfigType.INT)) is None


def test_only_passwords_are_sensitive() -> None:
    assert a_key(ConfigType.PASSWORD).is_sensitive
    assert not a_key(ConfigType.STRING).is_sensitive


def test_a_key_says_where_its_default_deviates() -> None:
    ours = key("n", ConfigType.INT, "0", None, "It.", UpdateMode.READ_ONLY, kafka_default="3000")

    assert ours.deviates
    assert not a_key(ConfigType.INT, "3000").deviates
