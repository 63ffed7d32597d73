"""What the suite must have, and that its own comparison sees what it should."""

import pytest

from compat.differential.cases import OBSERVED
from compat.differential.catalogue import (
    UNSEEN_IN,
    all_cases,
    expected_codes,
    is_unseen,
)
from compat.differential.differences import DIFFERENCES
from compat.differential.plain import Plain
from compat.differential.readme import README, written
from compat.differential.session import Step
from compat.differential.transcript import Difference, compare
from pykbroker.handlers import APIS, Api
from pykbroker.protocol.errors import ErrorCode
from pykbroker.protocol.messages.fetch import PartitionData
from pykbroker.protocol.messages.init_producer_id import InitProducerIdResponse

MANY = 400


def ids(api: Api) -> str:
    return api.name


@pytest.mark.parametrize("api", APIS.values(), ids=ids)
def test_every_api_has_cases_in_its_versions(api: Api) -> None:
    own = [case for case in all_cases() if case.api == api.key]
    versions = {version for case in own for version in case.versions}
    assert set(range(api.min_version, api.max_version + 1)) <= versions


def test_there_are_enough_cases() -> None:
    assert sum(len(case.versions) for case in all_cases()) >= MANY


def test_every_difference_is_of_a_case() -> None:
    names = [(case.full_name, version) for case in all_cases() for version in case.versions]
    idle = [each for each in DIFFERENCES if not any(each.covers(*name) for name in names)]
    assert idle == []


def test_the_readme_is_up_to_date() -> None:
    text = README.read_text()
    assert text == written(text), "run: python -m compat.differential --write"


def step(value: object) -> list[Step]:
    return [Step("Fetch v12", "", {"responses": [{"error_code": value}]})]


def test_a_difference_is_seen() -> None:
    (deviation,), unseen = compare(step(3), step(0))
    assert (deviation.path, deviation.ours, deviation.kafka) == ("0/responses/0/error_code", 3, 0)
    assert unseen == []
    assert compare(step(3), step(3)) == ([], [])
    assert compare([], step(3))[0]
    assert compare(step(False), step(0))[0]


def test_a_known_difference_must_show_with_its_values() -> None:
    known = Difference("*", path="*/error_code", ours="3", kafka="0", reason="")
    assert compare(step(3), step(0), [known]) == ([], [])
    assert compare(step(3), step(3), [known]) == ([], [known])
    assert compare(step(4), step(0), [known])[0]


def test_ids_become_symbols_and_none_stays() -> None:
    plain = Plain()
    first, second, again, none = (
        plain.tree(InitProducerIdResponse(producer_id=producer_id))["producer_id"]
        for producer_id in (4000, 4001, 4000, -1)
    )
    assert (first, second, again, none) == ("producer 1", "producer 2", "producer 1", -1)


def test_records_are_compared_one_by_one() -> None:
    tree = Plain().tree(PartitionData(records=b"no batch"))
    assert tree["records"] == [{"cut_bytes": 8}]


@pytest.mark.after_all_cases
@pytest.mark.parametrize("api", APIS.values(), ids=ids)
def test_every_error_code_has_a_case_or_a_reason(api: Api) -> None:
    own = {case.full_name for case in all_cases() if case.api == api.key}
    missing = own - OBSERVED.played
    if missing:
        pytest.skip(f"{len(missing)} cases of {api.name} were not played")
    seen = {ErrorCode(code) for key, code in OBSERVED.error_codes if key == api.key}
    expected = expected_codes(api.key)
    assert {code for code in expected - seen if not is_unseen(api.key, code)} == set()
    needless = {code for key, code in UNSEEN_IN if key == api.key} & seen
    assert needless == set(), "these have a case now"
