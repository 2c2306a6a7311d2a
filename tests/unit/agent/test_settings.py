from pathlib import Path

import pytest

from strongroom.agent.settings import Settings, checked_url, control_address
from strongroom.model.errors import Invalid, Precondition


@pytest.mark.parametrize(
    "url", ["https://vault:8443", "http://127.0.0.1:80", "http://localhost:1", "http://[::1]:1"]
)
def test_https_and_the_loopback_are_addresses(url):
    assert checked_url(url + "/") == url


@pytest.mark.parametrize(
    "url",
    ["http://vault:8443", "http://127.0.0.1.example.com", "https://", "vault:8443", "https://a@b"],
)
def test_anything_else_is_refused(url):
    with pytest.raises(Invalid):
        checked_url(url)


def test_a_refused_address_does_not_show_its_password():
    with pytest.raises(Invalid) as caught:
        checked_url("http://user:hunter2@vault")
    assert "hunter2" not in caught.value.message


def test_an_agent_without_an_address_says_how_to_give_one():
    with pytest.raises(Precondition, match="not enrolled"):
        control_address(Settings(data=Path("/nowhere")))
