"""Settings of one client metrics subscription (KIP-714)."""

from pykbroker.config.keys import ConfigType, key
from pykbroker.config.validators import ANY_LIST

INT = ConfigType.INT
LIST = ConfigType.LIST

# fmt: off
CLIENT_METRICS_KEYS = (
    key("metrics", LIST, "", ANY_LIST,
        ""),
    key("interval.ms", INT, "300000", None,
        ""),
    key("match", LIST, "", ANY_LIST,
        ""),
)
# fmt: on
