"""Asks the control interface of a broker; the other side of `application.py`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final

TIMEOUT_S: Final = 30.0
Address = tuple[str, int]


class ControlError(RuntimeError):
    """The interface cannot be reached, or refuses; the message says why.

    Attributes:
        status: Of the answer; None if there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ControlClient:
    """Asks one interface, over a connection for each request.

    Args:
        address: Where it listens.
        timeout_s: For each answer.
    """

    def __init__(self, address: Address, timeout_s: float = TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what is answered; None if that is nothing.

        Raises:
            ControlError: It is not done.
        """
        with self._answered(method, path, body, self._timeout_s) as response:
            text = response.read()
        return json.loads(text) if text else None

    @contextmanager
    def lines(self, path: str) -> Iterator[Iterator[bytes]]:
        """Give the lines of an answer as they come.

        Raises:
            ControlError: There are none, or no more.
        """
        with self._answered("GET", path, None, None) as response:
            yield iter(response.readline, b"")

    @contextmanager
    def _answered(
        self, method: str, path: str, body: Any, timeout_s: float | None
    ) -> Iterator[HTTPResponse]:
        connection = HTTPConnection(*self._address, timeout=timeout_s)
        try:
            given = None if body is None else json.dumps(body)
            connection.request(method, path, given, {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise ControlError(_detail(response), response.status)
            yield response
        except (OSError, HTTPException) as error:
            host, port = self._address
            raise ControlError(f"the control interface {host}:{port}: {error}") from error
        finally:
            connection.close()


def _detail(response: HTTPResponse) -> str:
    """Return what the interface says is wrong; something else may have answered."""
    try:
        return str(json.loads(response.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status} {response.reason}"
