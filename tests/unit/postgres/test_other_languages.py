"""What PostgreSQL says in other languages than English is understood where anything hangs on it.

The words are those of its own translations (src/backend/po).
"""

import pytest

from strongroom.model.errors import SourceRefused, SourceUnreachable
from strongroom.postgres.server.links import refuse_passed_over
from strongroom.postgres.server.refusals import Attempt, refused_connection

ATTEMPT = Attempt(user="bob", database="shop", endpoint="db:5432", replicating=True)
AT = 'connection to server at "10.0.0.1", port 5432 failed: FATAL:  '
PASSED_OVER = [
    'skipping special file "./{}"',
    "überspringe besondere Datei »./{}«",
    "omitiendo el archivo especial «./{}»",
    "ignore le fichier spécial « ./{} »",
    'speciale "./{}" saltato',
    'スペシャルファイル"./{}"をスキップしています',
    '"./{}" 특수 파일을 건너뜀',
    'специальный файл "./{}" пропускается',
    '跳过特殊文件 "./{}"',
    "\ufffdberspringe besondere Datei \ufffd./{}\ufffd",  # of a server in LATIN1
]


@pytest.mark.parametrize("said", PASSED_OVER)
def test_a_link_that_was_passed_over_is_refused(said: str) -> None:
    for path in ("base", "base/16384", "pg_tblspc/16400/PG_15_202209061/5/16401"):
        with pytest.raises(SourceRefused, match=f"{path} is a link"):
            refuse_passed_over([said.format(path)])
    refuse_passed_over([said.format("somebodys_socket"), said.format("base/notes")])


def test_a_warning_of_a_page_is_none_of_a_link() -> None:
    refuse_passed_over(
        [
            'checksum verification failed in file "./base/5/1259", block 3: calculated 4711',
            "Prüfsummenüberprüfung in Datei »./base/5/1259«, Block 3 fehlgeschlagen: 4711",
            'file "./base/5/1259" has a total of 2 checksum verification failures',
        ]
    )


@pytest.mark.parametrize(
    "said",
    [
        "nur Superuser und Replikationsrollen können WAL-Sender starten",
        "debe ser superusuario o rol de replicación para iniciar el walsender",
        "walsenderを起動するにはスーパーユーザーまたはreplicationロールである必要があります",
    ],
)
def test_a_role_that_may_not_replicate_is_told_so(said: str) -> None:
    assert "ALTER ROLE bob REPLICATION" in refused_connection(AT + said, ATTEMPT).hint


@pytest.mark.parametrize(
    "said",
    [
        "kein pg_hba.conf-Eintrag für Replikationsverbindung von Host »10.0.0.9«, Benutzer »bob«,"
        " unverschlüsselt",
        "aucune entrée dans pg_hba.conf pour la connexion de la réplication à partir de l'hôte"
        " « 10.0.0.9 », utilisateur « bob », sans chiffrement",
    ],
)
def test_the_line_of_pg_hba_conf_names_the_address(said: str) -> None:
    error = refused_connection(AT + said, ATTEMPT)
    assert "host replication bob 10.0.0.9/32 scram-sha-256" in error.hint


@pytest.mark.parametrize("said", ["das Datenbanksystem startet", "система баз данных запускается"])
def test_a_server_that_starts_is_tried_again(said: str) -> None:
    assert type(refused_connection(AT + said, ATTEMPT)) is SourceUnreachable
