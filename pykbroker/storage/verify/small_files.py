"""Checking one small file alone: whether it is well formed, not whether it fits the log."""

from pathlib import Path

from pykbroker.storage.checkpoint import (
    CheckpointFormatError,
    parse_leader_epochs,
    parse_meta_properties,
    parse_offsets,
    parse_partition_metadata,
)
from pykbroker.storage.data_directory import META_PROPERTIES
from pykbroker.storage.log_names import parse_log_file_name
from pykbroker.storage.partition_files import LEADER_EPOCHS, PARTITION_METADATA
from pykbroker.storage.producer_state import DamagedSnapshotError, ProducerStateManager
from pykbroker.storage.segment import SNAPSHOT_SUFFIX
from pykbroker.storage.verify.directory import OFFSET_CHECKPOINTS
from pykbroker.storage.verify.findings import Finding, Report, Severity

_PARSERS = {
    **dict.fromkeys(OFFSET_CHECKPOINTS, parse_offsets),
    LEADER_EPOCHS: parse_leader_epochs,
    META_PROPERTIES: parse_meta_properties,
    PARTITION_METADATA: parse_partition_metadata,
}


def is_small_file(path: Path) -> bool:
    """Whether `verify_small_file` knows a file of this name."""
    name = parse_log_file_name(path.name)
    return path.name in _PARSERS or (name is not None and name.suffix == SNAPSHOT_SUFFIX)


def verify_small_file(path: Path, report: Report) -> None:
    """Report if a file is not of the form that its name promises.

    Raises:
        OSError: It cannot be read.
    """
    data = path.read_bytes()
    try:
        if path.name in _PARSERS:
            _PARSERS[path.name](data)
        else:
            ProducerStateManager().load_snapshot(data)
    except (CheckpointFormatError, DamagedSnapshotError) as error:
        report(Finding(Severity.DAMAGE, path, str(error)))
