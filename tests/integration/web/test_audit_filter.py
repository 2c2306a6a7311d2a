"""What of the audit is wanted: over the wire and in the portal, for those who may read it."""

import csv
import json
from collections.abc import Iterator

import httpx
import pytest
from whenever import Instant

from arm_story import GROUP_ID
from arm_world import SUBSCRIPTION, VERSION, ArmWorld
from strongroom.catalog.oversight import audit
from strongroom.control.identities import users
from strongroom.model.identities.access import BACKUP_READER, OWNER

HOME = f"/subscriptions/{SUBSCRIPTION}"
RECORDS = f"{HOME}/providers/Microsoft.DataProtection/auditRecords"
PASSWORD = "four words of hers"
NOON = Instant.from_utc(2020, 2, 29, 12)
ORDERS = f"{GROUP_ID}/providers/Microsoft.DataProtection/backupVaults/v1/backupInstances/orders"
TOLD = [  # hours before noon, who, what, to what
    (0, "anna", "restore/trigger", "orders"),
    (1, "anna", "policy/write", f"{GROUP_ID}/policies/ten%years"),
    (2, "service", "job/fail", "=HYPERLINK(1)"),
    (3, "mallory", "access/refuse", ORDERS),
    (30, "agent:a1", "storage/lost", "p/1.receipt"),
]


@pytest.fixture(scope="module")
def people(world: ArmWorld) -> ArmWorld:
    anna = users.create_user(world.control, "anna", PASSWORD, OWNER.id, HOME)
    users.create_user(world.control, "bert", PASSWORD, BACKUP_READER.id, GROUP_ID)
    with world.database.writing() as connection:
        for hours, who, what, target in TOLD[::-1]:
            at = NOON.subtract(hours=hours)
            actor = anna if who == "anna" else who
            audit.append(connection, at, actor, (what, target), {"hours": hours})
    return world


def told(http: httpx.Client, **wanted: str) -> list[str]:
    answer = http.get(RECORDS, params={**VERSION, **wanted})
    assert answer.status_code == 200, answer.text
    return [each["action"] for each in answer.json()["value"]]


OF_THESE = {"until": "2020-03-01"}  # what the world itself has written is younger


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"who": "ANN"}, [1, 1, 0, 0, 0]),
        ({"who": "agent:"}, [0, 0, 0, 0, 1]),
        ({"what": "restore"}, [1, 0, 0, 0, 0]),
        ({"scope": "Orders"}, [1, 0, 0, 1, 0]),
        ({"scope": "ten%"}, [0, 1, 0, 0, 0]),
        ({"scope": "t_n"}, [0, 0, 0, 0, 0]),
        ({"since": "2020-02-29"}, [1, 1, 1, 1, 0]),
        ({"since": "2020-02-29 10:00", "until": "2020-02-29T12:00:00Z"}, [0, 1, 1, 0, 0]),
        ({"until": "2020-02-28"}, [0, 0, 0, 0, 1]),
        ({"outcome": "refused"}, [0, 0, 0, 1, 0]),
        ({"outcome": "failed"}, [0, 0, 1, 0, 1]),
        ({"outcome": "done"}, [1, 1, 0, 0, 0]),
        ({"who": "anna", "outcome": "failed"}, [0, 0, 0, 0, 0]),
    ],
)
def test_each_field_leaves_out_what_does_not_fit(
    people: ArmWorld, wanted: dict[str, str], found: list[int]
) -> None:
    expected = [what for (_, _, what, _), fits in zip(TOLD, found, strict=True) if fits]
    with people.http() as http:
        assert told(http, **{**OF_THESE, **wanted}, newest="true") == expected
        assert told(http, **{**OF_THESE, **wanted}) == expected[::-1]


def test_a_field_that_cannot_be_read_is_refused_and_leaves_nothing_in(people: ArmWorld) -> None:
    with people.http() as http:
        for wrong in ({"since": "yesterday"}, {"until": "2020-13-01"}, {"outcome": "good"}):
            answer = http.get(RECORDS, params={**VERSION, **wrong})
            assert answer.status_code == 400
            assert next(iter(wrong.values())) in answer.json()["error"]["message"]


def test_every_page_is_of_what_was_asked_for(people: ArmWorld) -> None:
    with people.database.writing() as connection:
        for number in range(1010):
            at = NOON.add(hours=24 + number)
            audit.append(connection, at, "service", ("wal/expire", f"many-{number}"))
    for newest in ({}, {"newest": "true"}):
        seen, pages = list[int](), 0
        with people.http() as http:
            url, asked = RECORDS, {**VERSION, "scope": "many-", **newest}
            while url:
                answer = http.get(url, params=asked or None).json()
                seen += [each["sequence"] for each in answer["value"]]
                url, asked, pages = answer.get("nextLink", ""), {}, pages + 1
        assert (len(seen), pages) == (1010, 3)
        assert seen == sorted(seen, reverse=bool(newest))


@pytest.fixture
def anna(people: ArmWorld) -> Iterator[httpx.Client]:
    with people.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": "anna", "password": PASSWORD})
        yield http


def test_a_link_shows_and_a_file_holds_what_is_wanted(anna: httpx.Client) -> None:
    wanted = {"until": "2020-03-01", "outcome": "failed"}
    page = anna.get("/audit", params=wanted).text
    assert "job/fail" in page
    assert "access/refuse" not in page
    assert 'value="2020-03-01"' in page
    assert "/audit.csv?until=2020-03-01&amp;outcome=failed" in page
    rows = list(csv.DictReader(anna.get("/audit.csv", params=wanted).text.splitlines()))
    assert [row["action"] for row in rows] == ["job/fail", "storage/lost"]
    assert rows[0]["target"] == "'=HYPERLINK(1)"
    assert json.loads(rows[0]["detail"]) == {"hours": 2}
    found = anna.get("/audit.json", params=wanted).json()
    assert (found["wanted"], found["whole"]) == (wanted, True)
    assert [each["outcome"] for each in found["records"]] == ["failed", "failed"]
    assert all(each["signature"] is not None for each in found["records"])
    older = anna.get("/audit", params={"scope": "many-"}).text
    assert "/audit?scope=many-&amp;before=" in older
    wrong = anna.get("/audit", params={"since": "yesterday"})
    assert wrong.status_code == 400
    assert "is no time" in wrong.text
    assert 'value="yesterday"' in wrong.text
    assert anna.get("/audit.csv", params={"since": "yesterday"}).status_code == 400


def test_whoever_may_not_read_the_audit_gets_no_part_of_it_by_asking_for_one(
    people: ArmWorld,
) -> None:
    with people.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": "bert", "password": PASSWORD})
        for path in ("/audit", "/audit.csv", "/audit.json"):
            answer = http.get(path, params={"who": "anna"})
            assert (path, answer.status_code) == (path, 404)  # no place of theirs
            assert "restore/trigger" not in answer.text
    _, *signs_in = people.principal("bert-api", [(BACKUP_READER.id, GROUP_ID)])
    headers = {"Authorization": f"Bearer {people.token(*signs_in)}"}
    with people.http() as http:
        answer = http.get(RECORDS, params={**VERSION, "who": "anna"}, headers=headers)
    assert answer.status_code in {403, 404}
    assert "restore/trigger" not in answer.text
