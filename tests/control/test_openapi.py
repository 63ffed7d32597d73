import json
from pathlib import Path
from typing import Any

import pytest

from pykbroker.control.openapi import LIVE, document

EXAMPLES = 15  # of requests, for each operation


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {node["$ref"]} if "$ref" in node else set()
        return found.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_the_document_names_what_it_describes() -> None:
    described = document()
    assert json.loads(json.dumps(described)) == described
    schemas = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references(described) == schemas


@pytest.mark.slow
def test_the_interface_does_what_the_document_says(tmp_path: Path) -> None:
    """Random requests, right and wrong, for every operation; answers as they are described."""
    import schemathesis  # takes a second
    from hypothesis import HealthCheck, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    from tests.harness.controlled_server import a_controlled_server

    def ask(case: Any) -> None:
        # A schema does not say that a rule needs a fault, or which partitions there are.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    limits = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with a_controlled_server(tmp_path) as control:
        schema = schemathesis.openapi.from_url(f"{control.url}/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations()]
        # What is told live does not end; the tests of `application` listen to it.
        answered = [operation for operation in operations if operation.path != LIVE]
        for operation in answered:
            limits(given(case=operation.as_strategy())(ask))()
        assert (len(operations), len(answered)) == (20, 19)
