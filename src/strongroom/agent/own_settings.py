"""What the host of the agent decides alone: hooks, a limit for all of its backups together, and
how far it obeys its control plane (bounds.py).

DIR/settings.json, mode 0600. No API reads or writes it: commands that run here come from here. It
is read anew for each operation.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from strongroom.agent.private_file import Stamp, locked, read_private, stamp_of, write_private
from strongroom.model.errors import Invalid
from strongroom.model.work.drill import Assertion

LONGEST_HOOK_SECONDS = 86_400.0
EVERY_SERVER = "*"


class Hooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Commands as argument lists, run without a shell; empty: none. `seconds`: how long each may

    take.
    """

    pre: list[str] = []
    post: list[str] = []
    seconds: float = 60.0


class OwnSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """bandwidth: bytes a second of all backups together, 0: no limit. hooks: by server, or `*`.

    assertions: by server, or `*`: what drills of their points must find true. refuse: kinds of
    orders that are not obeyed. storage, targets: URLs beneath which alone packs are put, or files
    are left; none: anywhere.
    """

    bandwidth: int = 0
    hooks: dict[str, Hooks] = {}
    assertions: dict[str, list[Assertion]] = {}
    refuse: list[str] = []
    storage: list[str] = []
    targets: list[str] = []

    def hooks_of(self, server: str) -> Hooks:
        """The server's own, else those of every server."""
        return self.hooks.get(server) or self.hooks.get(EVERY_SERVER) or Hooks()

    def assertions_of(self, server: str) -> list[Assertion]:
        """The server's own, else those of every server."""
        return self.assertions.get(server) or self.assertions.get(EVERY_SERVER) or []


class OwnSettingsFile:
    """The file. Safe for several processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stamp(self) -> Stamp:
        """Changes whenever the file does."""
        return stamp_of(self._path)

    def load(self) -> OwnSettings:
        """Raises Invalid when it cannot be read: no hook is passed over in silence."""
        data = read_private(self._path)
        if data is None:
            return OwnSettings()
        try:
            return msgspec.json.decode(data, type=OwnSettings)
        except msgspec.MsgspecError as error:
            raise Invalid(
                f"{self._path} does not hold the agent's settings: {error}",
                hint="Correct it, or remove it and give the settings again: strongroom agent set.",
            ) from error

    def change(self, change: Callable[[OwnSettings], OwnSettings]) -> OwnSettings:
        """One change, whole; what it raises is raised and changes nothing."""
        with locked(self._path):
            changed = change(self.load())
            write_private(self._path, msgspec.json.format(msgspec.json.encode(changed), indent=2))
        return changed

    def set_hooks(self, server: str, hooks: Hooks) -> OwnSettings:
        """Of one server, or of `*`; with no command at all there are none. Raises Invalid."""
        if not 0 < hooks.seconds <= LONGEST_HOOK_SECONDS:
            raise Invalid(
                f"a hook cannot take {hooks.seconds:g} seconds",
                hint=f"Give more than 0 and at most {LONGEST_HOOK_SECONDS:.0f}.",
            )
        for command in filter(None, (hooks.pre, hooks.post)):
            if not Path(command[0]).is_absolute():
                raise Invalid(
                    f"{command[0][:80]!r} is not a whole path",
                    hint="Name the program by its whole path: it is run without a shell.",
                )

        def changed(known: OwnSettings) -> OwnSettings:
            others = {name: each for name, each in known.hooks.items() if name != server}
            named = {server: hooks} if hooks.pre or hooks.post else {}
            return msgspec.structs.replace(known, hooks={**others, **named})

        return self.change(changed)

    def set_assertions(self, server: str, asked: list[Assertion]) -> OwnSettings:
        """Of one server, or of `*`; with none there are none any more."""

        def changed(known: OwnSettings) -> OwnSettings:
            others = {name: each for name, each in known.assertions.items() if name != server}
            named = {server: asked} if asked else {}
            return msgspec.structs.replace(known, assertions={**others, **named})

        return self.change(changed)
