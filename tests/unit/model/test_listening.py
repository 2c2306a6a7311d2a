"""Where a process listens, and what others are told."""

import pytest

from strongroom.model.errors import Invalid
from strongroom.model.listening import Listening, at, is_loopback, read_listening

EVERYWHERE = "0.0.0.0"  # noqa: S104 - read, not bound


@pytest.mark.parametrize(
    ("host", "names", "public", "near"),
    [
        ("127.0.0.1", [], "localhost", "127.0.0.1"),
        (EVERYWHERE, ["Vault.Example.COM.", "10.0.0.5"], "vault.example.com", "127.0.0.1"),
        (EVERYWHERE, [], "machine", "127.0.0.1"),
        ("10.0.0.5", [], "10.0.0.5", "10.0.0.5"),
        ("127.0.0.1", ["tunnel.example.com"], "tunnel.example.com", "127.0.0.1"),
        ("::", ["FD00:0::0005"], "fd00::5", "::1"),
    ],
)
def test_others_are_told_the_first_name_or_else_the_address(host, names, public, near):
    found = read_listening(host, names)
    assert (found.public("machine"), found.near) == (public, near)


def test_only_the_default_is_for_this_machine_alone():
    assert Listening().is_local
    assert not read_listening(EVERYWHERE, []).is_local
    assert not read_listening("127.0.0.1", ["vault.example.com"]).is_local
    assert not read_listening("127.0.0.2", []).is_local


def test_a_certificate_holds_every_name_once():
    found = read_listening("10.0.0.5", ["vault.example.com", "VAULT.example.com", "10.0.0.5"])
    assert found.certificate_names("vault") == [
        "vault.example.com",
        "10.0.0.5",
        "localhost",
        "127.0.0.1",
        "vault",
    ]


@pytest.mark.parametrize("name", ["https://vault", "vault:8443", "", "a..b", "-a", "*", "a b"])
def test_what_no_certificate_could_hold_is_refused(name):
    with pytest.raises(Invalid, match="neither a DNS name nor an IP address"):
        read_listening("127.0.0.1", [name])


def test_an_ipv6_address_stands_in_brackets():
    assert at("https", "fd00::5", 8443) == "https://[fd00::5]:8443"
    assert at("https", "vault", 8443) == "https://vault:8443"


def test_loopback_is_what_never_leaves_the_machine():
    assert all(map(is_loopback, ("localhost", "127.0.0.2", "::1")))
    assert not any(map(is_loopback, ("10.0.0.5", "vault", "")))
