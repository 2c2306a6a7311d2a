"""Servers that are not plain: behind TLS, standbys, later timelines, other segment sizes."""

import datetime
import hashlib
import json
import time
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integration.copies import back_up
from integration.servers import Server, open_directory, own, run_restored, start_server
from strongroom.model.errors import SourceRefused
from strongroom.postgres.backup.basebackup import base_backup
from strongroom.postgres.backup.check import look
from strongroom.postgres.backup.local import disk_backup
from strongroom.postgres.backup.whereabouts import data_directory_of
from strongroom.postgres.server.connect import Conninfo, connect

pytestmark = pytest.mark.postgres
_ANSWER = "set default_transaction_isolation to 'read committed'"
MAJOR = 15


def _certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2080))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = directory / "server.crt", directory / "server.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    private.chmod(0o600)
    return own(certificate), own(private)


@pytest.fixture(scope="module")
def encrypted():
    with open_directory() as place, start_server(MAJOR) as server:
        certificate, key = _certificate(place)
        server.configure(ssl="on", ssl_cert_file=certificate, ssl_key_file=key)
        server.replace_hba(
            "hostssl all all 127.0.0.1/32 trust", "hostssl replication all 127.0.0.1/32 trust"
        )
        server.sql(
            "create table big as select repeat(md5(n::text), 30) from generate_series(1, 60000) n"
        )
        yield server, certificate


def test_a_whole_backup_over_tls_never_waits_for_bytes_that_are_there(encrypted):
    server, certificate = encrypted
    conninfo = Conninfo.parse(
        f"host=localhost hostaddr=127.0.0.1 port={server.port} user=postgres "
        f"sslmode=verify-full sslrootcert={certificate}"
    )
    assert look(conninfo, "orders").problems == []
    begun = time.monotonic()
    copy = back_up(conninfo)
    assert time.monotonic() - begun < 15
    assert sum(map(len, copy.contents)) > 80_000_000


def test_a_certificate_that_is_not_trusted_is_refused(encrypted):
    server, _ = encrypted
    conninfo = Conninfo.parse(
        f"host=localhost port={server.port} user=postgres sslmode=verify-full sslrootcert=system"
    )
    with pytest.raises(SourceRefused) as caught, connect(conninfo):
        pass
    assert "sslrootcert" in caught.value.hint


def test_without_encryption_the_line_for_it_is_asked_for(encrypted):
    server, _ = encrypted
    conninfo = Conninfo.parse(f"{server.tcp} user=postgres sslmode=disable")
    with pytest.raises(SourceRefused, match=r"pg_hba\.conf"), connect(conninfo):
        pass


@pytest.mark.parametrize("major", [14, 15])
def test_a_socket_and_a_network_bring_the_same(major):
    """The one is read past libpq, the other by it."""
    with start_server(major, autovacuum="off") as server:
        server.sql(
            "create table t as select n, md5(n::text) from generate_series(1, 200000) n",
            "vacuum freeze",
        )
        server.replace_hba(
            "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"
        )
        tcp = Conninfo.parse(f"{server.tcp} user=postgres")
        here, there = (
            {
                file.path: bytes(content)
                for file, content in zip(copy.files, copy.contents, strict=True)
                if file.kind == "main" and file.path.startswith("base/")
            }
            for copy in (back_up(server.parsed()), back_up(tcp))
        )
        assert sum(map(len, here.values())) > 10 << 20
        assert here == there


def test_a_restored_server_starts_without_the_certificates_of_its_source(encrypted):
    server, certificate = encrypted
    with open_directory() as place:
        hidden = certificate.with_name("hidden.crt")
        certificate.rename(hidden)  # where it is restored, the path leads nowhere
        try:
            back_up(server.parsed()).restore(place / "data")
            with run_restored(server, place / "data") as clone:
                assert clone.sql("show ssl") == [("off",)]
        finally:
            hidden.rename(certificate)


def _follow(server: Server, directory: Path) -> None:
    """Make a restored directory a standby of its source."""
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_conninfo = 'host={server.home} port={server.port} user=postgres'\n")
    own(_touch(directory / "standby.signal"))


def _touch(path: Path) -> Path:
    path.touch()
    return path


def _await(server: Server, query: str) -> None:
    deadline = time.monotonic() + 20
    while server.sql(_ANSWER, query) != [(True,)]:
        assert time.monotonic() < deadline, query
        time.sleep(0.05)


@pytest.mark.parametrize("major", [14, 18])
def test_a_standby_is_backed_up_and_so_is_the_timeline_after_its_promotion(major):
    with start_server(major) as primary, open_directory() as place:
        primary.sql("create table t as select n from generate_series(1, 5000) n")
        back_up(primary.parsed()).restore(place / "standby")
        _follow(primary, place / "standby")
        with (place / "standby/postgresql.auto.conf").open("a") as file:
            file.write("default_transaction_isolation = 'serializable'\n")  # it answers nobody
        with run_restored(primary, place / "standby") as standby:
            _await(standby, "select count(*) > 0 from pg_stat_wal_receiver")
            facts = look(standby.parsed(), "standby")
            assert facts.problems == []
            assert facts.in_recovery
            directory = data_directory_of(standby.parsed())
            ways = {"stream": base_backup, "disk": partial(disk_backup, directory=directory)}
            for name, read in ways.items():
                target = place / name
                back_up(standby.parsed(), read=read).restore(target)
                with run_restored(primary, target) as clone:
                    found = clone.sql("select pg_is_in_recovery(), count(*) from t")
                    assert found == [(False, 5000)]
            standby.sql(_ANSWER, "select pg_promote()")
            standby.sql("insert into t values (0)")
            promoted = back_up(standby.parsed())
            assert promoted.started.timeline == promoted.ended.timeline == 2
            assert "pg_wal/00000002.history" in promoted.paths
            assert promoted.content("pg_wal/00000002.history").startswith(b"1\t")
            promoted.restore(place / "promoted")
            with run_restored(primary, place / "promoted") as clone:
                assert clone.sql("select count(*) from t") == [(5001,)]


def test_a_promotion_in_the_middle_is_typed():
    with start_server(MAJOR) as primary, open_directory() as place:
        primary.sql(
            "create table big as select repeat(md5(n::text), 30) from generate_series(1, 60000) n"
        )
        back_up(primary.parsed()).restore(place / "standby")
        _follow(primary, place / "standby")
        with run_restored(primary, place / "standby") as standby:
            _await(standby, "select count(*) > 0 from pg_stat_wal_receiver")
            promoted = []

            def promote(event):
                if not promoted and getattr(event, "path", "").startswith("base/1/"):
                    promoted.append(standby.sql("select pg_promote()"))

            with pytest.raises(Exception, match=r"promot|ended the stream|timeline") as caught:
                back_up(standby.parsed(), promote)
            assert caught.type.__module__ == "strongroom.model.errors"


@pytest.mark.parametrize("megabytes", [1, 64])
def test_other_segment_sizes(megabytes):
    options = (f"--wal-segsize={megabytes}",)
    with start_server(MAJOR, options=options, max_wal_size="512MB") as server:
        server.sql("create table t as select n from generate_series(1, 5000) n")
        copy = back_up(server.parsed())
        assert copy.started.wal_segment_size == megabytes << 20
        with open_directory() as place:
            copy.restore(place / "data")
            with run_restored(server, place / "data") as clone:
                assert clone.sql("select count(*) from t") == [(5000,)]


def test_a_group_that_may_read_the_source_may_read_the_restored_one():
    with start_server(MAJOR, options=("--allow-group-access",)) as server, open_directory() as at:
        back_up(server.parsed()).restore(at / "data")
        assert (at / "data").stat().st_mode & 0o777 == 0o750
        assert (at / "data" / "PG_VERSION").stat().st_mode & 0o777 == 0o640
        with run_restored(server, at / "data") as clone:
            assert clone.sql("show data_directory_mode") == [("0750",)]


def test_settings_that_name_the_sources_host_do_not_stop_the_restored_server():
    with start_server(MAJOR) as server, open_directory() as place:
        elsewhere = own(_touch(place / "elsewhere.conf"))
        hba = place / "elsewhere.hba"
        hba.write_text("local all all trust\nlocal replication all trust\n")
        server.stop()
        server.configure(
            data_directory=server.data_directory,
            hba_file=own(hba),
            ident_file=elsewhere,
            log_directory=place / "log",
            shared_preload_libraries="auto_explain",
            synchronous_standby_names="somebody",
            synchronous_commit="local",
            restore_command="/bin/false",
        )
        server.start()
        server.sql("create table t as select 1 as n")
        finished = back_up(server.parsed()).restore(place / "data", settings={"work_mem": "5MB"})
        hba.unlink()
        with run_restored(server, place / "data") as clone:
            assert clone.sql("show data_directory") == [(str(place / "data"),)]
            assert clone.sql("show hba_file") == [(str(place / "data" / "pg_hba.conf"),)]
            assert clone.sql("show shared_preload_libraries") == [("",)]
            assert clone.sql("show synchronous_standby_names") == [("",)]
            assert clone.sql("show restore_command") == [("",)]
            assert clone.sql("show work_mem") == [("5MB",)]
            clone.sql("insert into t values (2)")
        assert any("shared_preload_libraries = 'auto_explain'" in s for s in finished.next_steps)
        assert server.sql("select count(*) from t") == [(1,)]


def test_configuration_that_lies_outside_is_asked_for_and_the_server_starts_anyway():
    with start_server(MAJOR) as server, open_directory() as place:
        copy = back_up(server.parsed())
        keep = [
            i for i, f in enumerate(copy.files) if f.path not in {"postgresql.conf", "pg_hba.conf"}
        ]
        manifest = _without(copy.pg_manifest, {"postgresql.conf", "pg_hba.conf"})
        copy.files = [copy.files[i] for i in keep]
        copy.contents = [copy.contents[i] for i in keep]
        copy.pg_manifest = manifest
        finished = copy.restore(place / "data", settings={"unix_socket_directories": str(place)})
        steps = " ".join(finished.next_steps)
        assert "postgresql.conf" in steps
        assert "pg_hba.conf" in steps
        with run_restored(server, place / "data") as clone:
            assert clone.is_running()


def _without(manifest: bytes, paths: set[str]) -> bytes:
    """PostgreSQL's manifest as it would be for a server that keeps these files elsewhere."""
    told = json.loads(manifest)
    told["Files"] = [file for file in told["Files"] if file.get("Path") not in paths]
    del told["Manifest-Checksum"]
    head = (json.dumps(told)[:-1] + ', "Manifest-Checksum": "').encode()
    place = head.rindex(b'"Manifest-Checksum"')
    return head + hashlib.sha256(head[:place]).hexdigest().encode() + b'"}'
