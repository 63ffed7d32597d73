"""Plain counters, filled by the shell and read by whoever exports them.

An API is measured from the moment that its row stands in the table of APIs.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class ApiMetrics:
    """What was done for one API since the start."""

    requests: int = 0
    # Requests answered with one error for the whole of them, by error code.
    errors: dict[int, int] = field(default_factory=dict)
    request_bytes: int = 0
    response_bytes: int = 0
    # From the arrival of the frame to the answer's way to the transport; includes parked time.
    total_time_ns: int = 0

    def count_error(self, code: int) -> None:
        """Count one request that failed as a whole."""
        self.errors[code] = self.errors.get(code, 0) + 1


@dataclass(slots=True)
class ConnectionMetrics:
    """What happened to connections since the start."""

    accepted: int = 0
    refused: int = 0
    closed_for_bad_input: int = 0
    closed_idle: int = 0
