"""The table of APIs against the modules that it names."""

import inspect
from pathlib import Path

import pytest

import pykbroker.handlers
from pykbroker.handlers import APIS, NEVER_FLEXIBLE, Api, load

HANDLERS = Path(pykbroker.handlers.__file__).parent
TESTS = Path(__file__).parent / "handlers"


def stem_of(api: Api) -> str:
    return api.stem


@pytest.mark.parametrize("api", APIS.values(), ids=stem_of)
def test_an_api_has_a_handler_messages_and_a_test(api: Api) -> None:
    loaded = load(api)

    assert list(inspect.signature(loaded.handle).parameters) == ["context", "request"]
    assert list(inspect.signature(loaded.error_response).parameters) == [
        "request",
        "code",
        "message",
    ]
    assert (TESTS / f"test_{api.stem}.py").exists()


@pytest.mark.parametrize("api", APIS.values(), ids=stem_of)
def test_only_versions_that_have_a_schema_are_served(api: Api) -> None:
    loaded = load(api)
    messages = inspect.getmodule(loaded.response_type)
    request_type = getattr(messages, f"{api.name}Request")

    assert request_type.API_KEY == api.key
    assert (
        request_type.MIN_VERSION <= api.min_version <= api.max_version <= request_type.MAX_VERSION
    )
    assert api.advertised_min_version <= api.min_version
    assert loaded.first_flexible_version == (
        NEVER_FLEXIBLE
        if request_type.FIRST_FLEXIBLE_VERSION is None
        else request_type.FIRST_FLEXIBLE_VERSION
    )


def test_every_handler_module_stands_in_the_table() -> None:
    stems = {path.stem for path in HANDLERS.glob("*.py")} - {"__init__"}
    assert stems == {api.stem for api in APIS.values()}
