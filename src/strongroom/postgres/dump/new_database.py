"""A database that is made and filled: under a name of its own until it is whole.

Making a database and saying in its comment what it is for are two transactions, between which one
can be killed. So the name itself says whose work it is, from the first moment. It gets its right
name together with a comment that says by whose order it came: a database of that name is whole.
Source: PostgreSQL manual, CREATE DATABASE (not within a transaction), ALTER DATABASE ... RENAME.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from strongroom.model.errors import Failed, TargetNotEmpty, TargetRefused, VaultError
from strongroom.postgres.dump.load import Connection, create_database
from strongroom.postgres.server.connect import Conninfo, connect

_UNFINISHED = "strongroom_loading_"
_MARK = "loaded by strongroom, job "
_UNFIT = "22"  # class of an error: a character that the server's encoding lacks
_LONGEST = 63  # bytes of a name
_ATTEMPTS = 6  # the server waits five seconds in each for sessions to end
_IN_USE, _DUPLICATE = "55006", "42P04"


@contextmanager
def new_database(
    conninfo: Conninfo, job_id: str, name: str, described: Mapping[str, Any], *, owner: str = ""
) -> Iterator[str]:
    """Gives the name under which to fill it. Afterwards it has its own, or, when anything went
    wrong, it is gone. What an earlier try of the job left unfinished is dropped first.

    Raises TargetRefused in the server's words, TargetNotEmpty when the name was taken meanwhile.
    """
    working = _working_name(job_id)
    with connect(conninfo) as connection:
        _drop(connection, working)
        create_database(connection, working, described, owner=owner)
    try:
        yield working
        with connect(conninfo) as connection:
            _publish(connection, working, name, (described.get("comment") or "", _note(job_id)))
    except BaseException:
        with connect(conninfo) as connection:
            _drop(connection, working)
        raise


def is_of_job(connection: Connection, name: str, job_id: str) -> bool:
    """Whether this very job has made the database, and filled it."""
    row = connection.execute(
        "select pg_catalog.shobj_description(oid, 'pg_database') from pg_catalog.pg_database "
        "where datname = %s",
        (name,),
    ).fetchone()
    return row is not None and (row[0] or "").rpartition("\n")[2] == _note(job_id)


def left_by_others(connection: Connection, job_id: str) -> list[VaultError]:
    """What loads of other jobs have not finished: told, for one of them may be under way."""
    rows = connection.execute(
        "select datname from pg_catalog.pg_database where starts_with(datname, %s) order by 1",
        (_UNFINISHED,),
    ).fetchall()
    return [
        Failed(
            f"the server has a database {name} that a load has not finished",
            hint="When that job runs no more, drop what it left: "
            f"DROP DATABASE {sql.Identifier(name).as_string(connection)} WITH (FORCE);",
        )
        for (name,) in rows
        if name != _working_name(job_id)
    ]


def _working_name(job_id: str) -> str:
    return (_UNFINISHED + job_id)[:_LONGEST]


def _note(job_id: str) -> str:
    return f"{_MARK}{job_id}"


def _drop(connection: Connection, name: str) -> None:
    words = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    connection.execute(words.format(sql.Identifier(name)))


def _publish(connection: Connection, working: str, name: str, notes: tuple[str, str]) -> None:
    """`notes`: the comment that it had, and ours, which becomes its last line."""
    old, new = sql.Identifier(working), sql.Identifier(name)
    own = [line for line in notes[0].split("\n") if line and not line.startswith(_MARK)]
    note = "\n".join([*own, notes[1]])
    refused = psycopg.Error()
    for _ in range(_ATTEMPTS):
        try:
            with connection.transaction():
                told = sql.SQL("COMMENT ON DATABASE {} IS {}").format(old, sql.Literal(note))
                connection.execute(told)
                connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
        except psycopg.Error as error:
            refused = error
            if own and (error.sqlstate or "").startswith(_UNFIT):
                own, note = [], notes[1]
            elif error.sqlstate != _IN_USE:
                break
        else:
            return
    if refused.sqlstate == _DUPLICATE:
        raise TargetNotEmpty(
            f"a database {name} was made while its content was being loaded",
            hint="Load it under another name: --rename.",
        ) from refused
    raise TargetRefused(
        f"database {name} is loaded and cannot get its name: {refused.diag.message_primary}",
        hint="Keep others from connecting to it while it is loaded, then load it again.",
    ) from refused
