"""The portal's door: who is let in, which forms are taken, and that nothing leaks on the way."""

import re
from collections.abc import Iterator

import httpx
import pytest

from arm_world import APP, SECRET, SUBSCRIPTION, TENANT, ArmWorld
from strongroom.catalog.tables.tables import installation
from strongroom.control.identities import users
from strongroom.model.errors import Invalid, NotFound
from strongroom.model.identities.access import BACKUP_READER, OWNER

ANNA, HERS = "anna", "four words of hers"
READER, THEIRS = "reader", "four words of theirs"
HOME = f"/subscriptions/{SUBSCRIPTION}"


@pytest.fixture(scope="module")
def people(world: ArmWorld) -> ArmWorld:
    users.create_user(world.control, ANNA, HERS, OWNER.id, HOME)
    users.create_user(world.control, READER, THEIRS, BACKUP_READER.id, HOME)
    return world


@pytest.fixture
def guest(people: ArmWorld) -> Iterator[httpx.Client]:
    with people.http("nobody") as http:
        del http.headers["Authorization"]
        yield http


def sign_in(guest: httpx.Client, name: str = ANNA, password: str = HERS) -> httpx.Response:
    return guest.post("/sign-in", data={"name": name, "password": password, "to": "/jobs"})


def key_of(guest: httpx.Client) -> str:
    found = re.search('name="form_key" value="([0-9a-f]{64})"', guest.get("/").text)
    assert found
    return found[1]


def test_whoever_is_not_signed_in_is_asked_to_and_comes_back_to_where_they_were(guest):
    asked = guest.get("/jobs?status=Failed")
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/sign-in?to=/jobs%3Fstatus%3DFailed",
    )
    assert 'value="/jobs?status=Failed"' in guest.get(asked.headers["location"]).text
    done = sign_in(guest)
    assert (done.status_code, done.headers["location"]) == (303, "/jobs")
    assert guest.get("/jobs").status_code == 200


def test_the_cookie_is_bound_to_this_host_to_https_and_to_no_script(guest):
    cookie = sign_in(guest).headers["set-cookie"].lower()
    assert cookie.startswith("__host-strongroom=")
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))


def test_whoever_has_a_client_id_and_its_secret_signs_in_with_them(guest):
    assert sign_in(guest, APP, SECRET).status_code == 303


def test_a_wrong_password_opens_nothing_and_is_said_in_the_page(guest):
    refused = sign_in(guest, ANNA, "something else")
    assert refused.status_code == 401
    assert "No user has this name and this password." in refused.text
    assert "set-cookie" not in refused.headers
    assert guest.get("/").status_code == 303


@pytest.mark.parametrize("to", ["//elsewhere.example/", "https://elsewhere.example", "/\\evil"])
def test_nobody_is_sent_to_another_site_after_signing_in(guest, to):
    done = guest.post("/sign-in", data={"name": ANNA, "password": HERS, "to": to})
    assert done.headers["location"] == "/"


def test_a_form_without_the_sessions_key_or_from_another_site_is_refused(guest):
    sign_in(guest)
    key = key_of(guest)
    assert guest.post("/sign-out", data={"form_key": "0" * 64}).status_code == 403
    foreign = {"Origin": "https://elsewhere.example"}
    assert guest.post("/sign-out", data={"form_key": key}, headers=foreign).status_code == 403
    crossed = {"Sec-Fetch-Site": "cross-site"}
    assert guest.post("/sign-out", data={"form_key": key}, headers=crossed).status_code == 403
    assert guest.get("/").status_code == 200


def test_whoever_signs_out_is_out_with_the_cookie_they_had(guest):
    sign_in(guest)
    cookie = dict(guest.cookies)
    assert guest.post("/sign-out", data={"form_key": key_of(guest)}).status_code == 303
    guest.cookies.clear()
    guest.cookies.update(cookie)
    assert guest.get("/").status_code == 303


def test_every_page_allows_no_script_but_ours_and_is_kept_by_nobody(guest):
    sign_in(guest)
    for path in ("/", "/sign-in", "/no-such-page-of/ours"):
        answer = guest.get(path)
        if "html" not in answer.headers["content-type"]:
            continue
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", answer.text)


def test_a_page_that_is_not_there_or_not_for_somebody_says_what_to_do(guest, people):
    html = {"Accept": "text/html"}
    assert "There is no page at this address." in guest.get("/no-such-page", headers=html).text
    sign_in(guest)
    for path in ("/no-such-page", "/instances/none/none/none", "/cost/1999-01"):
        missing = guest.get(path, headers=html)
        assert missing.status_code == 404
        assert 'action="/instances"' in missing.text
        assert "Correct the request" not in missing.text
    assert guest.get("/no-such-page").headers["content-type"] == "application/json"
    unread = guest.get("/audit?before=yesterday")
    assert unread.status_code == 400
    assert "A part of this address cannot be read." in unread.text
    assert ">Access<" in guest.get("/").text
    users.create_user(people.control, "narrow", HERS, BACKUP_READER.id, f"{HOME}/resourceGroups/x")
    sign_in(guest, "narrow", HERS)
    assert ">Access<" not in guest.get("/").text
    hold = guest.post("/alerts/none", data={"form_key": key_of(guest)})
    assert (hold.status_code, "can give you one that allows it" in hold.text) == (403, True)


def test_pages_of_an_empty_installation_say_what_comes_first(guest, people):
    sign_in(guest)
    for path, words in (
        ("/cost", "Nothing is protected yet: it costs nothing."),
        ("/policies", "protecting the first server makes both"),
        ("/reports", "Begin under"),
    ):
        assert words in guest.get(path).text


def test_a_mistake_of_ours_is_a_page_with_its_reference(guest, people):
    sign_in(guest)
    with people.database.writing() as connection:
        before = connection.execute(installation.select()).all()
        row = {"name": "price-sheet", "value": '{"currency": 7}'}
        connection.execute(installation.insert().values(**row))
    broken = guest.get("/cost")
    with people.database.writing() as connection:
        connection.execute(installation.delete().where(installation.c.name == "price-sheet"))
        assert connection.execute(installation.select()).all() == before
    assert broken.status_code == 500
    assert "This page could not be made" in broken.text
    assert re.search(r"Reference [0-9a-f-]{36}: the log of", broken.text)
    assert guest.get("/cost").status_code == 200


def test_the_portal_answers_under_its_own_names_alone(guest):
    refused = guest.get("/sign-in", headers={"Host": "rebound.example"})
    assert refused.status_code == 400


def test_a_token_of_the_api_opens_no_page_and_a_cookie_no_route_of_the_api(people, guest):
    with people.http() as caller:
        assert caller.get("/").status_code == 303
    sign_in(guest)
    assert guest.get(HOME, params={"api-version": "2026-06-01"}).status_code == 401


def test_a_link_from_another_site_asks_again_from_here_where_the_cookie_is_sent(guest):
    sign_in(guest)
    cookies = dict(guest.cookies)
    guest.cookies.clear()  # as a browser does with a strict cookie
    crossed = guest.get("/jobs", headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 200
    assert 'http-equiv="refresh"' in crossed.text
    guest.cookies.update(cookies)
    assert guest.get("/jobs").status_code == 200


def test_a_lost_password_is_another_from_the_host_and_every_session_is_over(guest, people):
    users.create_user(people.control, "lost", "four words of long ago", OWNER.id, HOME)
    assert sign_in(guest, "lost", "four words of long ago").status_code == 303
    assert guest.get("/jobs").status_code == 200
    found = users.reset_password(people.database, "lost", people.clock, people.chance)
    assert guest.get("/jobs").status_code == 303
    assert sign_in(guest, "lost", "four words of long ago").status_code == 401
    assert sign_in(guest, "lost", found).status_code == 303
    with pytest.raises(NotFound):
        users.reset_password(people.database, "nobody", people.clock, people.chance)
    with pytest.raises(Invalid):
        users.reset_password(people.database, APP, people.clock, people.chance)


def test_a_password_of_the_portal_gets_no_token(guest, people):
    form = {"grant_type": "client_credentials", "client_id": ANNA, "client_secret": HERS}
    asked = f"/{TENANT}/oauth2/v2.0/token"
    assert guest.post(asked, data=form).status_code == 401
    asking = {"x-identity-header": f"{ANNA}:{HERS}"}
    assert guest.get("/msi/token", headers=asking).status_code == 401
    form |= {"client_id": APP, "client_secret": SECRET}
    assert guest.post(asked, data=form).status_code == 200
