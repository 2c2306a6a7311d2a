"""libpq's words -> one typed error with the exact remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.errors import (
    SourceError,
    SourceRefused,
    SourceStopped,
    SourceUnreachable,
    SourceUnsupported,
    WalGap,
)
from strongroom.postgres.server.refusals import (
    Attempt,
    check_version,
    failed_command,
    quote_name,
    refused_connection,
)

HBA = 'FATAL:  no pg_hba.conf entry for {what}host "{address}", user "bob", {rest}'
REPLICATION = "replication connection from "
AT = 'connection to server at "10.0.0.1", port 5432 failed: '


def attempt(**more) -> Attempt:
    plain = {"user": "bob", "database": "shop", "endpoint": "db:5432", "replicating": True}
    return Attempt(**{**plain, **more})


@pytest.mark.parametrize(
    ("words", "given", "line"),
    [
        (
            HBA.format(what=REPLICATION, address="10.0.0.9", rest="no encryption"),
            {},
            "host replication bob 10.0.0.9/32 scram-sha-256",
        ),
        (
            HBA.format(what="", address="10.0.0.9", rest='database "shop", no encryption'),
            {"replicating": False},
            "host shop bob 10.0.0.9/32 scram-sha-256",
        ),
        (
            HBA.format(what=REPLICATION, address="fe80::1", rest="SSL encryption"),
            {},
            "hostssl replication bob fe80::1/128 scram-sha-256",
        ),
        (
            HBA.format(what=REPLICATION, address="[local]", rest="no encryption"),
            {},
            "local replication bob peer",
        ),
        (
            HBA.format(what=REPLICATION, address="10.0.0.9", rest="SSL encryption"),
            {"certificate": True},
            "hostssl replication bob 10.0.0.9/32 cert",
        ),
        (
            HBA.format(what=REPLICATION, address="10.0.0.9", rest="no encryption"),
            {"user": 'Odd "name"'},
            'host replication "Odd ""name""" 10.0.0.9/32 scram-sha-256',
        ),
        (
            HBA.format(what="", address="10.0.0.9", rest='database "all", no encryption'),
            {"replicating": False, "database": "all"},
            'host "all" bob 10.0.0.9/32 scram-sha-256',
        ),
        (  # a server that speaks German
            'FATAL:  kein pg_hba.conf-Eintrag für Replikationsverbindung von Host "10.0.0.9", '
            'Benutzer "bob", keine Verschlüsselung',
            {},
            "host replication bob 10.0.0.9/32 scram-sha-256",
        ),
        (
            'FATAL:  pg_hba.conf rejects replication connection for host "10.0.0.9", user "bob"',
            {},
            "host replication bob 10.0.0.9/32 scram-sha-256",
        ),
    ],
)
def test_the_exact_line_of_pg_hba_conf(words, given, line):
    error = refused_connection(AT + words, attempt(**given))
    assert isinstance(error, SourceRefused)
    assert error.facts["line"] == line
    assert error.hint.endswith(line)


@pytest.mark.parametrize(
    ("words", "kind", "hint"),
    [
        (
            "FATAL:  must be superuser or replication role to start walsender",
            SourceRefused,
            "Run as a superuser: ALTER ROLE bob REPLICATION;",
        ),
        (
            "FATAL:  permission denied to start WAL sender DETAIL:  Only roles with the "
            "REPLICATION attribute may start a WAL sender process.",
            SourceRefused,
            "ALTER ROLE bob REPLICATION",
        ),
        (
            "FATAL:  number of requested standby connections exceeds max_wal_senders",
            SourceRefused,
            "Raise max_wal_senders",
        ),
        ('FATAL:  password authentication failed for user "bob"', SourceRefused, "passfile"),
        ('FATAL:  Peer authentication failed for user "bob"', SourceRefused, "pg_ident.conf"),
        ('FATAL:  role "bob" does not exist', SourceRefused, "CREATE ROLE bob"),
        ('FATAL:  role "bob" is not permitted to log in', SourceRefused, "ALTER ROLE"),
        ('FATAL:  database "shop" does not exist', SourceRefused, "existing one"),
        ("FATAL:  the database system is starting up", SourceUnreachable, "tried again"),
        ("FATAL:  sorry, too many clients already", SourceUnreachable, "max_connections"),
        ("FATAL:  remaining connection slots are reserved", SourceUnreachable, "max_connections"),
        ("Connection refused", SourceUnreachable, "Start PostgreSQL"),
        ("No route to host", SourceUnreachable, "firewall"),
        ("timeout expired", SourceUnreachable, "firewall"),
        ("server does not support SSL, but SSL was required", SourceRefused, "sslmode"),
        ("SSL error: certificate verify failed", SourceRefused, "sslrootcert"),
        ("fe_sendauth: no password supplied", SourceRefused, "passfile"),
        ("FATAL:  something new", SourceUnreachable, "server's log"),
        ("something else entirely", SourceUnreachable, "firewall"),
    ],
)
def test_every_other_refusal(words, kind, hint):
    error = refused_connection(AT + words, attempt())
    assert type(error) is kind
    assert hint in error.hint
    assert error.message[0].islower() or error.message.startswith("pg_hba")


def test_a_missing_password_is_known_by_field_not_by_words():
    error = refused_connection("irgendwas", attempt(needs_password=True))
    assert "asks for a password of bob" in error.message


@given(st.text(max_size=300))
def test_any_words_become_a_typed_error_with_a_hint(words):
    error = refused_connection(words, attempt())
    assert isinstance(error, SourceError)
    assert error.hint


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("", SourceStopped),
        ("57P01", SourceStopped),
        ("57P02", SourceStopped),
        ("08006", SourceStopped),
        ("58P01", WalGap),
        ("42501", SourceRefused),
        ("53400", SourceStopped),
        ("XX001", SourceStopped),
        ("55000", SourceRefused),
    ],
)
def test_commands_are_told_by_sqlstate(state, kind):
    error = failed_command(state, "words in any language", "reading")
    assert type(error) is kind
    assert error.facts["sqlstate"] == state


@pytest.mark.parametrize("number", [140000, 150018, 189999])
def test_supported_versions_pass(number):
    check_version(number)


@pytest.mark.parametrize(("number", "who"), [(130009, "server"), (190000, "strongroom"), (0, "")])
def test_other_versions_are_refused_by_name(number, who):
    with pytest.raises(SourceUnsupported) as caught:
        check_version(number)
    assert who in caught.value.hint


def test_names_are_quoted_where_they_must_be():
    assert quote_name("bob") == "bob"
    assert quote_name('b"; drop') == '"b""; drop"'
    assert quote_name("Bob") == '"Bob"'
