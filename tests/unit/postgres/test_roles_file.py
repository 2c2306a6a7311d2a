"""Roles as a managed server takes them."""

from strongroom.postgres.roles_file import cleaned


def test_what_only_an_owner_has_is_left_out():
    line = (
        "ALTER ROLE clerk WITH SUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN REPLICATION "
        "NOBYPASSRLS;\n"
    )
    assert cleaned(line) == "ALTER ROLE clerk WITH INHERIT NOCREATEROLE NOCREATEDB LOGIN;\n"


def test_limits_and_dates_stay():
    line = (
        "ALTER ROLE clerk WITH NOSUPERUSER LOGIN NOBYPASSRLS CONNECTION LIMIT 5 VALID UNTIL "
        "'2030-01-01 00:00:00+00';\n"
    )
    want = "ALTER ROLE clerk WITH LOGIN CONNECTION LIMIT 5 VALID UNTIL '2030-01-01 00:00:00+00';\n"
    assert cleaned(line) == want


def test_names_are_no_attributes():
    script = 'CREATE ROLE "SUPERUSER";\nALTER ROLE "a WITH SUPERUSER;" WITH NOSUPERUSER LOGIN;\n'
    want = 'CREATE ROLE "SUPERUSER";\nALTER ROLE "a WITH SUPERUSER;" WITH LOGIN;\n'
    assert cleaned(script) == want
