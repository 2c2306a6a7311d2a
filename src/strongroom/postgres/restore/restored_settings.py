"""The configuration of a restored server: it must start here, alone, and touch nobody else.

What the source was told to do to others (archive, follow, subscribe, run commands) is turned off;
what names places of the source's host is turned to places that are here. All of it stands in one
block at the end of postgresql.auto.conf, which overrides postgresql.conf and is easily removed.
Source: PostgreSQL manual, "Server Configuration", "Setting Parameters".
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from strongroom.model.errors import Invalid
from strongroom.postgres.restore.beneath import Root

MOST_BYTES = 4 << 20  # of one configuration file
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?")
_LINE = re.compile(
    r"^[ \t]*([A-Za-z_][\w.$]*)[ \t]*(?:=|[ \t])[ \t]*('(?:[^'\n]|'')*'|[^\s#']+)", re.M
)
_BEGIN = "# strongroom: settings of the restore; remove this block when the server takes over"

_ALONE = {
    "archive_mode": "off",
    "archive_command": "",
    "archive_cleanup_command": "",
    "restore_command": "",
    "recovery_end_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "synchronous_standby_names": "",
    "max_logical_replication_workers": "0",
}
_PRELOADS = ("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries")
_MINIMAL_CONF = (
    "# Written by strongroom: the source keeps its postgresql.conf outside the data directory.\n"
)
_MINIMAL_HBA = (
    "# Written by strongroom: the source keeps its pg_hba.conf outside the data directory.\n"
    "local all all peer\n"
    "host all all 127.0.0.1/32 scram-sha-256\n"
    "host all all ::1/128 scram-sha-256\n"
)


def check_settings(settings: Mapping[str, str]) -> None:
    """Raises Invalid for a name that is none, or a value that a line cannot hold."""
    for name, value in settings.items():
        if _NAME.fullmatch(name) is None:
            raise Invalid(f"not the name of a PostgreSQL setting: {name[:80]!r}")
        if any(ord(character) < 32 for character in value):
            raise Invalid(f"the value of {name} holds a control character")
        if name.lower() in {"data_directory", "config_file"}:
            raise Invalid(f"{name} is fixed by where the server is restored", hint="Leave it out.")


def settle_settings(root: Root, major: int, settings: Mapping[str, str], mode: int) -> list[str]:
    """Write our block, and files that are missing -> what a person does next."""
    steps = list(_missing_files(root, mode))
    told = _told(root)
    if "data_directory" in told:
        _append(root, "postgresql.conf", {"data_directory": str(root.path)}, mode)
    ours = {**_ALONE, **_places(root.path, told)}
    if major >= 15:
        ours["archive_library"] = ""
    if major <= 15:
        ours["promote_trigger_file"] = ""
    preloads = {name: told[name] for name in _PRELOADS if told.get(name) and name not in settings}
    ours |= dict.fromkeys(preloads, "")
    _append(root, "postgresql.auto.conf", {**ours, **settings}, mode)
    auto = root.path / "postgresql.auto.conf"
    steps += [
        f"The source sets {name} = '{value}': install what it names, then set it again in {auto}."
        for name, value in preloads.items()
    ]
    if told.get("archive_mode", "off") != "off":
        steps.append(
            f"Archiving is off: give it a place of its own before it is turned on in {auto}."
        )
    return steps


def settle_in_place(
    root: Root, major: int, settings: Mapping[str, str], mode: int, *, new_timeline: bool
) -> list[str]:
    """Of the server that stood there: what its owner has set stays -> what a person does next.

    What it must not do by itself is turned off: apply subscriptions, wait for standbys that have
    gone another way, and, where its log goes on under names that its archive has already (without
    a `new_timeline`), archive.
    """
    del major
    steps = list(_missing_files(root, mode))
    told, auto = _told(root), root.path / "postgresql.auto.conf"
    # Where its configuration lies elsewhere, it may archive.
    mode_of_archive = told.get("archive_mode", "on" if steps else "off")
    archives = mode_of_archive != "off"
    ours = {"max_logical_replication_workers": "0"}
    if told.get("synchronous_standby_names"):
        ours["synchronous_standby_names"] = ""
        steps.append(
            f"It waits for no standby: make them anew, then remove synchronous_standby_names = '' "
            f"from the end of {auto}."
        )
    if not new_timeline:
        ours["archive_mode"] = "off"
        if archives:
            steps.append(
                "Archiving is off: its log goes on under names that its archive has already. Give "
                f"it an empty one, then remove archive_mode = 'off' from the end of {auto}."
            )
    elif archives:
        steps.append(
            "It archives as it did, its new timeline alone; nothing is archived while it recovers."
        )
        if mode_of_archive == "always":  # what it is given would go there too, later
            ours["archive_mode"] = "on"
            steps.append(f"For always, remove archive_mode = 'on' from the end of {auto}.")
    _append(root, "postgresql.auto.conf", {**ours, **settings}, mode)
    return steps


def libraries_of(directory: Path) -> list[str]:
    """What the source loads into each of its processes; the restored files say so still."""
    root = Root(directory)
    try:
        found = _told(root, of_source=True).get(_PRELOADS[0], "")
    finally:
        root.close()
    return [each for each in re.split(r'[\s,"]+', found) if each]


def _missing_files(root: Root, mode: int) -> Iterator[str]:
    for name, content in (
        ("postgresql.conf", _MINIMAL_CONF),
        ("pg_hba.conf", _MINIMAL_HBA),
        ("pg_ident.conf", ""),
    ):
        if root.read((name,), MOST_BYTES) is None:
            root.write((name,), content.encode(), mode)
            if content:
                yield f"Copy the source's {name} over {root.path / name}: it was kept elsewhere."


def read_settings(text: str) -> dict[str, str]:
    """Assignments of a configuration file, the last of each name; names in lower case."""
    found: dict[str, str] = {}
    for name, value in _LINE.findall(text):
        plain = value[1:-1].replace("''", "'") if value.startswith("'") else value
        found[name.lower()] = plain
    return found


def _told(root: Root, *, of_source: bool = False) -> dict[str, str]:
    """What the source's files say, those that are usually included from conf.d with them.

    `of_source`: as they were before our last block.
    """
    included = root.path / "conf.d"
    names = sorted(path.name for path in included.glob("*.conf")) if included.is_dir() else []
    files = [("postgresql.conf",), *(("conf.d", name) for name in names)]
    found: dict[str, str] = {}
    for parts in [*files, ("postgresql.auto.conf",)]:
        text = (root.read(parts, MOST_BYTES) or b"").decode(errors="replace")
        if of_source and _BEGIN in text:
            text = text.rpartition(_BEGIN)[0]
        found |= read_settings(text)
    return found


def _places(directory: Path, told: Mapping[str, str]) -> dict[str, str]:
    """Settings that name places of the source's host, turned to what is here."""
    ours: dict[str, str] = {}
    for name, file in (("hba_file", "pg_hba.conf"), ("ident_file", "pg_ident.conf")):
        if name in told:
            ours[name] = str(directory / file)
    if "external_pid_file" in told:
        ours["external_pid_file"] = ""
    if not _is_here(told.get("log_directory", "log")):
        ours["log_directory"] = "log"
    certificates = (told.get("ssl_cert_file", ""), told.get("ssl_key_file", ""))
    if told.get("ssl") in {"on", "true", "yes", "1"} and not all(map(_is_here, certificates)):
        ours["ssl"] = "off"
    sockets = told.get("unix_socket_directories", "")
    if not all(_is_here(place.strip().strip('"')) for place in sockets.split(",")):
        ours["unix_socket_directories"] = "/tmp"  # noqa: S108 - PostgreSQL's own default
    return ours


def _is_here(place: str) -> bool:
    """Whether a place needs nothing from the source's host: relative, abstract, or existing."""
    return not place.startswith("/") or Path(place).exists()


def _append(root: Root, name: str, settings: Mapping[str, str], mode: int) -> None:
    before = root.read((name,), MOST_BYTES) or b""
    lines = [_BEGIN, *(f"{key} = {_quote(value)}" for key, value in settings.items())]
    text = ("\n" if before else "") + "\n".join(lines) + "\n"
    root.write((name,), before + text.encode(), mode)


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
