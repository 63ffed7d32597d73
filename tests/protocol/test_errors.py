from __future__ import annotations

import kio.schema.errors
import pytest

from pykbroker.protocol.errors import ErrorCode, KafkaError


def test_numbers_names_and_retriability_are_those_of_kafka() -> None:
    kafka = {int(code): (code.name.upper(), code.retriable) for code in kio.schema.errors.ErrorCode}

    ours = {int(code): (code.name, code.retriable) for code in ErrorCode}

    assert ours == kafka


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_one_short_sentence(code: ErrorCode) -> None:
    assert code.message[0].isupper()
    assert code.message.endswith(".")
    assert len(code.message) <= 90
    assert "\n" not in code.message


def test_a_code_is_found_by_its_number_and_is_an_int() -> None:
    code = ErrorCode(3)

    assert code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert int(code) == 3
    assert isinstance(code, int)


def test_an_error_speaks_in_the_words_of_its_code_unless_it_has_its_own() -> None:
    plain = KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
    precise = KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, "the name is empty")

    assert plain.message == ErrorCode.INVALID_TOPIC_EXCEPTION.message
    assert precise.message == "the name is empty"
    assert precise.code is ErrorCode.INVALID_TOPIC_EXCEPTION
    assert str(precise) == "INVALID_TOPIC_EXCEPTION: the name is empty"


def test_an_empty_message_is_kept() -> None:
    assert KafkaError(ErrorCode.INVALID_RECORD, "").message == ""
