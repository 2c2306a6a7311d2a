"""What we know of our servers, kept fresh beside the loop so that looking never delays leasing."""

import threading
from collections.abc import Callable, Mapping

import msgspec

from strongroom.agent.private_file import Stamp
from strongroom.agent.servers import ServerBook
from strongroom.model.errors import VaultError
from strongroom.model.seams import Clock
from strongroom.model.work.operation import ServerFacts
from strongroom.postgres.server.connect import Conninfo

Look = Callable[[Conninfo, str], ServerFacts]
Spawn = Callable[[str, Callable[[], None]], None]


class ServerWatch:
    """Facts by server. `look` reads one server's; `spawn(name, call)` runs a call in a thread.

    `changed` is set when the control plane should hear of something at once: a server came or
    went, became ready or ceased to be. Asking for `facts` clears it.
    """

    def __init__(
        self,
        book: ServerBook,
        look: Look,
        clock: Clock,
        spawn: Spawn,
        *,
        facts_seconds: float,
    ) -> None:
        self._book = book
        self._look = look
        self._clock = clock
        self._spawn = spawn
        self._facts_seconds = facts_seconds
        self._lock = threading.Lock()
        self._facts: dict[str, ServerFacts] = {}
        self._looked_at: dict[str, float] = {}
        self._looking: set[str] = set()
        self._stamp: Stamp | None = None
        self.changed = threading.Event()

    def facts(self) -> list[ServerFacts]:
        """What is known now, by name. A server not looked at yet is not in it."""
        with self._lock:
            self.changed.clear()
            return [self._facts[name] for name in sorted(self._facts)]

    def refresh(self) -> None:
        """Begin to look at every server whose facts are old; returns at once."""
        stamp = self._book.stamp()
        try:
            servers = self._book.servers()
        except VaultError as error:
            self._all_unready(error)
            return
        if stamp != self._stamp:
            self._stamp = stamp
            self._keep_only(servers)
        for name, conninfo in servers.items():
            if self._due(name):
                self._spawn(f"look-{name}", _call(self.look_now, name, conninfo))

    def look_now(self, name: str, conninfo: Conninfo) -> ServerFacts:
        """Look at one server and remember what was seen. An unreachable server is a fact too."""
        try:
            facts = self._look(conninfo, name)
        except VaultError as error:
            facts = self._unready(name, error)
        finally:
            with self._lock:
                self._looking.discard(name)
                self._looked_at[name] = self._clock.monotonic()
        if name not in self._book.servers():
            return facts  # removed while we looked
        with self._lock:
            known = self._facts.get(name)
            self._facts[name] = facts
            if known is None or _state(known) != _state(facts):
                self.changed.set()
        return facts

    def _due(self, name: str) -> bool:
        with self._lock:
            looked_at = self._looked_at.get(name)
            now = self._clock.monotonic()
            if name in self._looking:
                return False
            if looked_at is not None and now - looked_at < self._facts_seconds:
                return False
            self._looking.add(name)
            return True

    def _keep_only(self, servers: Mapping[str, Conninfo]) -> None:
        """The file has changed: forget who left, and look at everybody again."""
        with self._lock:
            for name in set(self._facts) - set(servers):
                del self._facts[name]
                self.changed.set()
            self._looked_at.clear()

    def _unready(self, name: str, error: VaultError) -> ServerFacts:
        """The last known facts, with why the server cannot be backed up now."""
        with self._lock:
            known = self._facts.get(name, ServerFacts(name=name, ready=False))
        unready = {"ready": False, "dumpable": False, "way": "", "problems": [error.to_dict()]}
        return msgspec.structs.replace(known, **unready)

    def _all_unready(self, error: VaultError) -> None:
        with self._lock:
            names = list(self._facts)
        for name in names:
            facts = self._unready(name, error)
            with self._lock:
                if _state(self._facts[name]) != _state(facts):
                    self.changed.set()
                self._facts[name] = facts


def _state(facts: ServerFacts) -> tuple[bool, str, str, list[str]]:
    codes = [str(problem.get("code", "")) for problem in facts.problems]
    return facts.ready, facts.way, facts.system_identifier, codes


def _call(
    look: Callable[[str, Conninfo], ServerFacts], name: str, conninfo: Conninfo
) -> Callable[[], None]:
    def call() -> None:
        look(name, conninfo)

    return call
