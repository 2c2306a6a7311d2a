"""Roles as a managed server takes them."""

from strongroom.postgres.dump import roles_file


def cleaned(script: str) -> str:
    return roles_file.cleaned(script.encode()).decode()


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


def test_passwords_and_who_granted_are_left_out():
    script = (
        "ALTER ROLE \"a PASSWORD 'x'\" WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$1:a''b' "
        "VALID UNTIL 'infinity';\n"
        "ALTER ROLE a SET my.note TO 'its PASSWORD ''x''';\n"
        'GRANT "a" TO "b" WITH ADMIN OPTION, INHERIT TRUE GRANTED BY "postgres";\n'
    )
    want = (
        "ALTER ROLE \"a PASSWORD 'x'\" WITH LOGIN VALID UNTIL 'infinity';\n"
        "ALTER ROLE a SET my.note TO 'its PASSWORD ''x''';\n"
        'GRANT "a" TO "b" WITH ADMIN OPTION, INHERIT TRUE;\n'
    )
    assert cleaned(script) == want


def test_a_script_in_pieces_comes_to_the_same():
    script = b"ALTER ROLE a WITH SUPERUSER LOGIN;\n-- end\x0c\nlast"
    found: list[bytes] = []
    cleaning = roles_file.Cleaning(found.append)
    for at in range(0, len(script), 7):
        cleaning.feed(script[at : at + 7])
    cleaning.end()
    assert b"".join(found) == b"ALTER ROLE a WITH LOGIN;\n-- end\x0c\nlast"
