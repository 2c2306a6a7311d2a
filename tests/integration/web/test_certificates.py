"""The private CA and what it signs."""

from pathlib import Path

import pytest
from cryptography import x509

from seams import FakeClock, SystemClock
from strongroom.config import RENEW_DAYS, SERVER_YEARS, ServeFiles
from strongroom.model.errors import Precondition

NAMES = ["vault.example.com", "10.0.0.5", "localhost"]


def alternatives(path: Path) -> set[str]:
    held = x509.load_pem_x509_certificate(path.read_bytes())
    found = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


@pytest.fixture
def files(tmp_path: Path) -> ServeFiles:
    return ServeFiles(tmp_path / "serve")


def test_the_certificate_names_what_was_asked_and_is_of_our_ca(files: ServeFiles) -> None:
    files.ensure_certificates(NAMES, SystemClock())
    assert alternatives(files.server_certificate) == set(NAMES)
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    x509.load_pem_x509_certificate(
        files.server_certificate.read_bytes()
    ).verify_directly_issued_by(ca)


def test_it_is_kept_while_it_fits_and_made_anew_when_the_names_change(files: ServeFiles) -> None:
    files.ensure_certificates(NAMES, SystemClock())
    ca, first = files.ca.read_bytes(), files.server_certificate.read_bytes()
    files.ensure_certificates([*reversed(NAMES)], SystemClock())
    assert files.server_certificate.read_bytes() == first
    files.ensure_certificates([*NAMES, "db.example.com"], SystemClock())
    assert "db.example.com" in alternatives(files.server_certificate)
    assert files.ca.read_bytes() == ca


def test_it_is_made_anew_before_it_ends(files: ServeFiles) -> None:
    clock = FakeClock()
    files.ensure_certificates(NAMES, clock)
    first = files.server_certificate.read_bytes()
    clock.sleep(24 * 3600.0 * (365 * SERVER_YEARS - RENEW_DAYS - 2))
    files.ensure_certificates(NAMES, clock)
    assert files.server_certificate.read_bytes() == first
    clock.sleep(24 * 3600.0 * 4)
    files.ensure_certificates(NAMES, clock)
    assert files.server_certificate.read_bytes() != first


def test_a_key_without_its_certificate_is_no_pair(files: ServeFiles) -> None:
    """A crash between the two leaves that, and the next start mends it."""
    files.ensure_certificates(NAMES, SystemClock())
    files.server_certificate.unlink()
    files.ensure_certificates(NAMES, SystemClock())
    assert alternatives(files.server_certificate) == set(NAMES)


def test_a_ca_whose_key_was_taken_away_serves_on_and_says_when_it_is_needed(
    files: ServeFiles,
) -> None:
    files.ensure_certificates(NAMES, SystemClock())
    (files.directory / "ca.key").unlink()
    files.ensure_certificates(NAMES, SystemClock())
    with pytest.raises(Precondition, match=r"ca\.key is not there"):
        files.ensure_certificates(["other.example.com"], SystemClock())


def test_storage_on_its_own_host_gets_one_of_the_same_ca(
    files: ServeFiles, tmp_path: Path
) -> None:
    directory = tmp_path / "store"
    directory.mkdir()
    made = files.issue(directory, ["store.example.com"], SystemClock())
    assert alternatives(made.certificate) == {"store.example.com"}
    assert made.key.stat().st_mode & 0o077 == 0
