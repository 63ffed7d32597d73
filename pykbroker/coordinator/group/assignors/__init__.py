"""Server-side assignors by name. The first one is the default of `group.consumer.assignors`."""

from typing import Final

from pykbroker.coordinator.group.assignors import range as range_assignor
from pykbroker.coordinator.group.assignors import uniform
from pykbroker.coordinator.group.assignors.spec import Assignor

ASSIGNORS: Final[dict[str, Assignor]] = {
    "uniform": uniform.assign,
    "range": range_assignor.assign,
}
