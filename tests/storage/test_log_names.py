import pytest

from pykbroker.storage.log_names import (
    LogFileName,
    PartitionName,
    parse_log_file_name,
    parse_partition_name,
)

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("00000000000000000042.log", LogFileName(42, ".log", "")),
        ("00000000000000000042.timeindex.deleted", LogFileName(42, ".timeindex", ".deleted")),
        ("00000000000000000042.log.cleaned", LogFileName(42, ".log", ".cleaned")),
        ("00000000000000000042.txnindex.swap", LogFileName(42, ".txnindex", ".swap")),
        ("00000000000000000042.snapshot", LogFileName(42, ".snapshot", "")),
        ("42.index", LogFileName(None, ".index", "")),
        ("partition.metadata", None),
        ("00000000000000000042.checkpoint", None),
    ],
)
def test_a_file_name_says_what_is_in_it(name: str, expected: LogFileName | None) -> None:
    assert parse_log_file_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders-0", PartitionName("orders", 0, "")),
        ("or-de.rs-12", PartitionName("or-de.rs", 12, "")),
        (f"orders-1.{ID}-delete", PartitionName("orders", 1, "delete")),
        (f"orders-1.{ID}-stray", PartitionName("orders", 1, "stray")),
        ("orders", None),
        ("or ders-1", None),
    ],
)
def test_a_directory_name_says_which_partition_it_is(
    name: str, expected: PartitionName | None
) -> None:
    assert parse_partition_name(name) == expected
