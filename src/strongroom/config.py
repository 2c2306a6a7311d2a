"""The control plane's own files: keys, certificates, who it is. Made once, mode 0600."""

import base64
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from strongroom.model.errors import Precondition
from strongroom.model.ids import uuid4
from strongroom.model.seams import Chance, Clock

# Who it is, what it signs with, and whom its agents and clients trust.
OWN_FILES = ("identity.json", "receipt-signing.key", "recovery.public", "ca.pem", "ca.key")
CA_YEARS = 10
SERVER_YEARS = 5
RENEW_DAYS = 60


def write_private(path: Path, content: bytes) -> None:
    """Create a file of mode 0600, whole or not at all; never over an existing one."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_directory(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Like `write_private`, over what is there."""
    temporary = path.with_name(f".{path.name}.next")
    temporary.unlink(missing_ok=True)
    write_private(temporary, content)
    temporary.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """A name is durable when its directory is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Identity(msgspec.Struct, kw_only=True):
    """Who this installation is; written once."""

    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str
    location: str = "local"
    resource_group: str = "strongroom"
    vault: str = "vault"


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """A server's certificate and its key, both PEM."""

    certificate: Path
    key: Path

    def fits(self, names: list[str], clock: Clock) -> bool:
        """Whether they are there, good for exactly these names, and for a while yet."""
        if not (self.certificate.exists() and self.key.exists()):
            return False
        held = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        alternatives = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        same = set(alternatives) == {_alternative(name) for name in names}
        renew_at = clock.now().add(hours=24 * RENEW_DAYS).to_stdlib()
        return same and renew_at < held.not_valid_after_utc


class ServeFiles:
    """A `serve` directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.catalogue = directory / "catalogue.sqlite"
        self.ca = directory / "ca.pem"
        self.server_certificate = directory / "server.pem"
        self.server_key = directory / "server.key"

    def identity(self, chance: Chance) -> Identity:
        """Made at the first start."""
        path = self.directory / "identity.json"
        if not path.exists():
            made = Identity(
                tenant_id=str(uuid4(chance)),
                subscription_id=str(uuid4(chance)),
                client_id=str(uuid4(chance)),
                client_secret=base64.urlsafe_b64encode(chance.bytes(32)).decode().rstrip("="),
            )
            write_private(path, msgspec.json.encode(made))
        return msgspec.json.decode(path.read_bytes(), type=Identity)

    def own(self) -> dict[str, bytes]:
        """Those without which this would be another installation, as far as they are here."""
        paths = {name: self.directory / name for name in OWN_FILES}
        return {name: path.read_bytes() for name, path in paths.items() if path.exists()}

    def put_back(self, told: Mapping[str, bytes]) -> list[str]:
        """Write those that are not here; their names."""
        missing = [n for n in OWN_FILES if n in told and not (self.directory / n).exists()]
        for name in missing:
            write_private(self.directory / name, told[name])
        return missing

    def ensure_certificates(self, names: list[str], clock: Clock) -> None:
        """A private CA, and a certificate of the server for these names."""
        self.issue(self.directory, names, clock)

    def issue(self, directory: Path, names: list[str], clock: Clock) -> ServerFiles:
        """A certificate of our CA in `directory`, good for exactly these names.

        One that is there stays until the names change or its end is near. The CA is made at the
        first start. Raises Precondition when the CA's key is needed and is not there.
        """
        found = ServerFiles(directory / "server.pem", directory / "server.key")
        if self.ca.exists() and found.fits(names, clock):
            return found
        key, certificate = _make_server(*self._authority(clock), names, clock)
        # The certificate comes last: a crash in between leaves one that does not fit.
        found.certificate.unlink(missing_ok=True)
        replace_private(found.key, _pem(key))
        replace_private(found.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        return found

    def _authority(self, clock: Clock) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key_file = self.directory / "ca.key"
        if not self.ca.exists():
            key, ca = _make_ca(clock)
            replace_private(key_file, _pem(key))
            replace_private(self.ca, ca.public_bytes(serialization.Encoding.PEM))
            self.ca.chmod(0o644)
        if not key_file.exists():
            raise Precondition(
                f"a certificate must be made and {key_file} is not there",
                hint="put the CA's key back for this start; you may take it away again afterwards",
            )
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise Precondition(f"{key_file} is no key of ours", hint="restore it from your copy")
        return loaded, x509.load_pem_x509_certificate(self.ca.read_bytes())


def new_token_key() -> bytes:
    """An RSA key that signs access tokens, as PEM."""
    return _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _make_ca(clock: Clock) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = clock.now()
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name("strongroom private CA"))
        .issuer_name(_name("strongroom private CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.subtract(hours=1).to_stdlib())
        .not_valid_after(now.add(hours=24 * 365 * CA_YEARS).to_stdlib())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _make_server(
    ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, names: list[str], clock: Clock
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(names[0][:64]))  # X.520's limit; what counts is the list
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.subtract(hours=1).to_stdlib())
        .not_valid_after(now.add(hours=24 * 365 * SERVER_YEARS).to_stdlib())
        .add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    return key, certificate


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
