"""Settings of one client metrics subscription (KIP-714)."""

from pykbroker.config.keys import ConfigType, key
from pykbroker.config.validators import ANY_LIST

INT = ConfigType.INT
LIST = ConfigType.LIST

# fmt: off
CLIENT_METRICS_KEYS = (
    key("metrics", LIST, "", ANY_LIST,
        "Prefixes of the names of the metrics that clients shall push; empty is none, * is "
        "all."),
    key("interval.ms", INT, "300000", None,
        "How often clients shall push their metrics."),
    key("match", LIST, "", ANY_LIST,
        "Which clients are meant, as selector=expression; all of them must match."),
)
# fmt: on
