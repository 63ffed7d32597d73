"""Rules, taps, clock and incidents of a broker in a process of its own, over its control interface.

They are the same objects as those of a broker in this process, save that they end with the process:
what was counted and kept until then can still be read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

from pykbroker.client import CLIENT_NAME
from pykbroker.control.as_json import fault_as_json, limits_as_json, match_as_json
from pykbroker.control.client import TIMEOUT_S, ControlClient, ControlError
from pykbroker.faults.matching import Match
from pykbroker.faults.rules import Fault, Limits, Rule, RuleError, Rules
from pykbroker.tap.taps import Exchange, Tap, Taps
from pykbroker.testing.broker_clock import BrokerClock, all_ms
from pykbroker.testing.in_process import ServerProcess
from pykbroker.testing.incidents import MOVE_S, NO_FSYNC, Incidents

MS_PER_S: Final = 1000
# The broker is about to be killed, and may not answer.
LAST_LOOK_S: Final = 1.0


class Interface:
    """The control interface of a process that comes and goes.

    Args:
        process: It.

    Attributes:
        was_asked: Whether anything was asked of this process.
    """

    def __init__(self, process: ServerProcess) -> None:
        self._process = process
        self.was_asked = False

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> Any:
        """Return what is answered.

        Raises:
            RuleError: The broker refuses it.
            ControlError: It is not done.
            RuntimeError: The broker does not run.
        """
        client = ControlClient(self._process.control, timeout_s)
        self.was_asked = True
        try:
            return client.ask(method, path, body)
        except ControlError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                raise RuleError(str(error)) from error
            raise


class RemoteRule(Rule):
    """A rule of such a broker."""

    def __init__(self, rules: "RemoteRules", told: dict[str, Any]) -> None:
        fields = {name: value for name, value in told.items() if name not in _COUNTED}
        made = Rules().add(**fields)
        super().__init__(rules, told["id"], made.match, made.fault, made.limits)
        self._rules = rules
        self.count(told)

    @property
    def matched(self) -> int:
        """How many requests have matched."""
        self._rules.look()
        return self._matched

    @property
    def applied(self) -> int:
        """How many have got the fault."""
        self._rules.look()
        return self._applied

    def remove(self) -> None:
        """Take it out of force; does nothing the second time, or in another process."""
        if self._rules.is_known(self):
            super().remove()

    def count(self, told: dict[str, Any]) -> None:
        """Take what the broker has counted."""
        self._matched, self._applied = told["matched"], told["applied"]


_COUNTED: Final = frozenset(("id", "matched", "applied"))


class RemoteRules(Rules):
    """The rules of such a broker.

    Args:
        remote: Where they are.
    """

    def __init__(self, remote: Interface) -> None:
        super().__init__(spared_client=CLIENT_NAME)
        self._remote = remote
        self._known: dict[int, RemoteRule] = {}

    def __len__(self) -> int:
        return len(self.look())

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.look())

    def get(self, number: int) -> Rule | None:
        """Return a rule that is in force."""
        return next((rule for rule in self.look() if rule.id == number), None)

    def discard(self, number: int) -> bool:
        """Take a rule out of force, if there is such a rule; tell whether there was."""
        self.look()
        if self._known.pop(number, None) is None:
            return False
        self._remote.ask("DELETE", f"/rules/{number}")
        return True

    def clear(self) -> None:
        """Take all rules out of force."""
        if self._remote.was_asked:
            self.look()
            self._known.clear()
            self._remote.ask("DELETE", "/rules")

    def is_known(self, rule: RemoteRule) -> bool:
        """Whether a rule is one of this process."""
        return self._known.get(rule.id) is rule

    def look(self, timeout_s: float = TIMEOUT_S) -> list[RemoteRule]:
        """Ask for the rules in force, and what they have counted; none after the process's end."""
        if not self._remote.was_asked:
            return []
        found = []
        for told in self._remote.ask("GET", "/rules", timeout_s=timeout_s):
            rule = self._known.setdefault(told["id"], RemoteRule(self, told))
            rule.count(told)
            found.append(rule)
        self._known = {rule.id: rule for rule in found}
        return found

    def forget(self) -> None:
        """Have no rules: the process is about to end."""
        try:
            if self._known:
                self.look(LAST_LOOK_S)
        finally:
            self._known.clear()

    def _enter(self, match: Match, fault: Fault, limits: Limits) -> Rule:
        body = match_as_json(match) | fault_as_json(fault) | limits_as_json(limits)
        if limits.until_s is not None:
            body["for_s"] = max(limits.until_s - self._monotonic_s(), 0)
        rule = RemoteRule(self, self._remote.ask("POST", "/rules", body))
        self._known[rule.id] = rule
        return rule


class RemoteTap(Tap):
    """A tap of such a broker."""

    def __init__(self, taps: "RemoteTaps", number: int, match: Match, last: int) -> None:
        super().__init__(taps, number, match, last, None)
        self._taps = taps
        self._exchanges: list[Exchange] = []

    @property
    def told(self) -> int:
        """How many exchanges there have been."""
        self.look()
        return self._told

    @property
    def exchanges(self) -> list[Exchange]:
        """The last exchanges of each connection, in the order in which they were answered."""
        self.look()
        return list(self._exchanges)

    def close(self) -> None:
        """Hear no more; what was kept stays. Does nothing the second time."""
        if self in self._taps.opened:
            super().close()

    def look(self, timeout_s: float = TIMEOUT_S) -> None:
        """Ask for what there is; does nothing when it is closed."""
        if self in self._taps.opened:
            ask, path = self._taps.remote.ask, f"/taps/{self.id}"
            self._told = ask("GET", path, timeout_s=timeout_s)["told"]
            self._exchanges = ask("GET", f"{path}/exchanges", timeout_s=timeout_s)


class RemoteTaps(Taps):
    """The taps of such a broker.

    Args:
        remote: Where they are.
    """

    def __init__(self, remote: Interface) -> None:
        super().__init__(spared_client=CLIENT_NAME)
        self.remote = remote

    def discard(self, number: int) -> bool:
        """Close a tap, if there is such a tap; tell whether there was."""
        tap = self.get(number)
        if not isinstance(tap, RemoteTap):
            return False
        tap.look()
        self.remote.ask("DELETE", f"/taps/{number}")
        return super().discard(number)

    def clear(self) -> None:
        """Close all taps."""
        for tap in self.opened:
            tap.close()

    def forget(self) -> None:
        """Have no taps: the process is about to end."""
        opened = [tap for tap in self.opened if isinstance(tap, RemoteTap)]
        try:
            for tap in opened:
                tap.look(LAST_LOOK_S)
        finally:
            super().clear()

    def _enter(self, match: Match, last: int, listener: Callable[[Exchange], None] | None) -> Tap:
        if listener is not None:
            raise RuleError("a broker in a process of its own has no listeners; see exchanges")
        told = self.remote.ask("POST", "/taps", match_as_json(match) | {"last": last})
        tap = RemoteTap(self, told["id"], match, last)
        self.opened += (tap,)
        return tap


class RemoteClock(BrokerClock):
    """The clock of such a broker; it begins anew with each process.

    Args:
        remote: Where it is.
    """

    def __init__(self, remote: Interface) -> None:
        self._remote = remote

    @property
    def now_ms(self) -> int:
        """The broker's wall time in milliseconds since the epoch."""
        now_ms: int = self._remote.ask("GET", "/clock")["now_ms"]
        return now_ms

    @property
    def is_stopped(self) -> bool:
        """Whether time passes by `advance` alone."""
        is_stopped: bool = self._remote.ask("GET", "/clock")["is_stopped"]
        return is_stopped

    def stop(self) -> None:
        """Have time pass by `advance` alone."""
        self._remote.ask("POST", "/clock/stop")

    def resume(self) -> None:
        """Have time pass as it does, from where it is."""
        if self._remote.was_asked:
            self._remote.ask("POST", "/clock/resume")

    def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Move time on, all in all; see `BrokerClock.advance`."""
        all_s = all_ms(seconds, minutes, hours, days) / MS_PER_S
        self._remote.ask("POST", "/clock/advance", {"seconds": all_s})


class RemoteIncidents(Incidents):
    """What may happen to such a broker.

    Args:
        remote: Where it happens.
    """

    def __init__(self, remote: Interface) -> None:
        self._remote = remote

    @contextmanager
    def unavailable(self) -> Iterator[None]:
        """Have the broker refuse connections, and drop those that there are; its time passes."""
        self._change(available=False)
        try:
            yield
        finally:
            self._change(available=True)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Have no room for records; producers get KAFKA_STORAGE_ERROR."""
        self._change(disk_full=True)
        try:
            yield
        finally:
            self._change(disk_full=False)

    def fail_fsync(self, times: int = 1) -> None:
        """Let the next fsync fail; the broker then serves reads only, until `restart`.

        Raises:
            RuntimeError: The broker does not fsync at all.
        """
        try:
            self._change(failing_fsyncs=times)
        except RuleError as error:
            raise RuntimeError(NO_FSYNC) from error

    def move_coordinator(
        self,
        group: str | None = None,
        *,
        transactional_id: str | None = None,
        for_s: float = MOVE_S,
    ) -> None:
        """Have a group or a transactional id without a coordinator for some seconds.

        Raises:
            RuleError: Neither is given, or both.
        """
        given = {"group": group, "transactional_id": transactional_id}
        said = {name: value for name, value in given.items() if value is not None}
        self._move("coordinator", said | {"for_s": for_s})

    def change_leader(self, topic: str, partition: int = 0, *, for_s: float = MOVE_S) -> None:
        """Have a partition without a leader for some seconds, then with one of the next epoch.

        Raises:
            RuleError: There is no such partition.
        """
        self._move("leader", {"topic": topic, "partition": partition, "for_s": for_s})

    def _change(self, **change: object) -> None:
        self._remote.ask("PATCH", "/broker", change)

    def _move(self, what: str, body: dict[str, Any]) -> None:
        self._remote.ask("POST", f"/moves/{what}", body | {"spared_client": CLIENT_NAME})


class Remote:
    """All of it, of one broker.

    Args:
        process: Its process.

    Attributes:
        rules: What requests get.
        taps: What is said.
        clock: Its time.
        incidents: What happens to it.
    """

    def __init__(self, process: ServerProcess) -> None:
        self._interface = Interface(process)
        self.rules = RemoteRules(self._interface)
        self.taps = RemoteTaps(self._interface)
        self.clock = RemoteClock(self._interface)
        self.incidents = RemoteIncidents(self._interface)

    def forget(self) -> None:
        """Look for the last time: the process is about to end, if it has not."""
        with suppress(RuntimeError):
            self.rules.forget()
        with suppress(RuntimeError):
            self.taps.forget()
        self._interface.was_asked = False
