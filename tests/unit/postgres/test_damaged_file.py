"""What a server says of damaged pages, in its own language."""

import pytest

from strongroom.postgres.pages.damaged_file import told_by_server

SAID = [
    'checksum verification failed in file "./base/5/16384", block 3: '
    "calculated ABCD but expected 12",
    "Prüfsummenprüfung fehlgeschlagen in Datei »./base/5/16384«, Block 70: berechnet 1, "
    "erwartet FFFF",
    "échec de la vérification dans le fichier « pg_tblspc/16385/PG_15_202209061/5/7.1 », bloc 9 : "
    "calculé C3D4, alors que le résultat attendu est 0",
    'file "./base/5/16384" has a total of 2 checksum verification failures',
    "checksum verification failure during base backup",
]


def test_each_file_is_told_once_with_its_blocks():
    found = [(w.facts["path"], w.facts["blocks"]) for w in told_by_server(SAID)]
    assert found == [
        ("base/5/16384", [3, 70]),
        ("pg_tblspc/16385/PG_15_202209061/5/7.1", [9]),
    ]


@pytest.mark.parametrize("text", ["something is wrong", 'file "x/1" is bad', ""])
def test_what_is_not_understood_is_told_as_it_was_said(text):
    (warning,) = told_by_server([text])
    assert warning.message == f"the server says of its disk: {text}"
