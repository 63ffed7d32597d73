"""The differences between pykbroker and Apache Kafka that are meant to be there.

An entry explains a deviation at one place of one case, or of several by wildcards. It is strict:
a case that it covers and in which it does not show fails. README.md lists them all.
"""

from collections.abc import Sequence

from compat.differential.differences_admin import ADMIN_DIFFERENCES
from compat.differential.differences_data_plane import DATA_PLANE_DIFFERENCES
from compat.differential.differences_groups import GROUP_DIFFERENCES
from compat.differential.differences_transactions import TRANSACTION_DIFFERENCES
from compat.differential.transcript import Difference

DIFFERENCES: Sequence[Difference] = (
    *DATA_PLANE_DIFFERENCES,
    *GROUP_DIFFERENCES,
    *ADMIN_DIFFERENCES,
    *TRANSACTION_DIFFERENCES,
)
