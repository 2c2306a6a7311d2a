"""A short story on a real PostgreSQL: protect it, destroy it, restore it, prove it is the same.

demo.py           tell it; at a terminal, leave everything running to play with
demo.py --keep    leave it running in any case
demo.py --stop    stop and remove what it left
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg

from strongroom.agent.control_client import ControlClient
from strongroom.agent.settings import Identity, Settings, load_identity
from strongroom.app.seams import SystemChance
from strongroom.model.errors import ToolsMissing, VaultError
from strongroom.model.work.operation import Lease, LeaseRequest
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import Tools, find_tools, install

HOME = Path(os.environ.get("STRONGROOM_DEMO_DIR", "/tmp/strongroom-demo"))
PORT = 54329
ROWS = int(os.environ.get("STRONGROOM_DEMO_ROWS", "1400000"))
SERVER = "shop"


def say(text: str = "") -> None:
    print(text, flush=True)


def chapter(number: int, title: str) -> None:
    say(f"\n{number}. {title}")


def strongroom(*words: str, conninfo: str = "") -> str:
    """The command line, as a person would use it; its progress goes to the terminal."""
    say(f"   $ strongroom {' '.join(words)}")
    command = [sys.executable, "-m", "strongroom", *words, "--data", str(HOME / "vault")]
    done = subprocess.run(command, input=conninfo, text=True, stdout=subprocess.PIPE, check=False)
    for line in done.stdout.splitlines():
        say(f"     {line}")
    if done.returncode:
        raise SystemExit(f"the demo stops here: strongroom {words[0]} failed")
    return done.stdout


class Shop:
    """The server of the story: two databases, a tablespace, an extension."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.data = HOME / "postgres" / "data"
        self.fast = HOME / "postgres" / "fast_disk"

    def conninfo(self, database: str = "postgres") -> str:
        return f"host={HOME / 'postgres'} port={PORT} user=postgres dbname={database}"

    def make(self) -> None:
        home = self.data.parent
        user = scratch.server_user()
        for directory in (home, self.fast):
            directory.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(directory, user.uid, user.gid)
        scratch.initialise(self.tools, self.data)
        self.start()

    def start(self) -> None:
        scratch.start(self.tools, self.data, port=PORT, socket_directory=self.data.parent)

    def run(self, database: str, *statements: str) -> None:
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def fill(self) -> int:
        """Some hundred megabytes of orders and events; returns the bytes."""
        self.run(
            "postgres",
            "create database orders",
            "create database events",
            f"create tablespace fast location '{self.fast}'",
        )
        self.run(
            "orders",
            *self._extension(),
            "create table customers (id int primary key, name text, mail text)",
            "insert into customers select g, 'Customer ' || g, md5(g::text) || '@example.org' "
            "from generate_series(1, 200000) g",
            "create table entries (id bigint primary key, customer int, amount numeric, note text)"
            " tablespace fast",
            "insert into entries select g, 1 + g % 200000, (g % 9973) / 7.0, md5(g::text) || "
            f"md5((g * 7)::text) || md5((g * 13)::text) from generate_series(1, {ROWS}) g",
            "create index on entries (customer)",
        )
        self.run(
            "events",
            "create table log (id bigint primary key, at timestamptz, body jsonb)",
            "insert into log select g, timestamptz '2026-01-01' + g * interval '1 second', "
            "jsonb_build_object('user', g % 5000, 'page', md5(g::text), 'ms', g % 731) "
            f"from generate_series(1, {ROWS}) g",
            "checkpoint",
        )
        with psycopg.connect(self.conninfo()) as connection:
            row = connection.execute(
                "select sum(pg_database_size(oid)) from pg_database"
            ).fetchone()
        return int(row[0]) if row else 0

    def _extension(self) -> list[str]:
        with psycopg.connect(self.conninfo()) as connection:
            query = "select name from pg_available_extensions where name = 'pgcrypto'"
            found = connection.execute(query).fetchone()
        return ["create extension pgcrypto"] if found else []

    def change(self) -> None:
        self.run(
            "orders",
            "update entries set amount = amount + 1 where id % 50 = 0",
            "delete from entries where id % 997 = 0",
            "create table returns as select * from entries where id % 1000 = 1",
        )

    def digests(self) -> dict[str, tuple[int, str]]:
        """Rows and a digest of every table of every database."""
        found = {}
        for database in ("orders", "events"):
            with psycopg.connect(self.conninfo(database)) as connection:
                names = connection.execute(
                    "select relname from pg_stat_user_tables order by 1"
                ).fetchall()
                for (name,) in names:
                    row = connection.execute(
                        f'select count(*), sum(hashtextextended(t::text, 0)) from "{name}" t'
                    ).fetchone()
                    found[f"{database}.{name}"] = (row[0], str(row[1])) if row else (0, "")
        return found

    def amcheck(self) -> str:
        program = self.tools.directory / "pg_amcheck"
        if not program.exists():
            return "pg_amcheck is not among the programs of this version"
        self.run("orders", "create extension if not exists amcheck")
        self.run("events", "create extension if not exists amcheck")
        command = [str(program), "-h", str(self.data.parent), "-p", str(PORT), "-U", "postgres"]
        command += ["--heapallindexed", "-d", "orders", "-d", "events"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"pg_amcheck found damage: {done.stdout[-400:]}{done.stderr[-400:]}")
        return "pg_amcheck: every table and index is sound"

    def destroy(self) -> None:
        scratch.stop(self.tools, self.data, "immediate")
        shutil.rmtree(self.data)
        for entry in self.fast.iterdir():
            shutil.rmtree(entry)


def take_lease(identity: Identity) -> Lease:
    """What the control plane gives to whoever has the agent's identity: work, and a signature."""
    asked = LeaseRequest(servers=[], wait_seconds=5.0, session="thief")
    with ControlClient(
        identity.control_url,
        ca_file=Path(identity.ca_file),
        chance=SystemChance(),
        token=identity.agent_token,
    ) as control:
        for _ in range(6):
            lease = control.lease(asked)
            if lease is not None:
                return lease
    raise SystemExit("the demo stops here: no work came for the agent")


def rob() -> None:
    """Somebody owns the database host. They stop the agent and take its identity; what now?"""
    vault = HOME / "vault"
    identity = load_identity(Settings(data=vault / "agent"))
    agent = json.loads((vault / "up.json").read_text())["children"]["agent"]["pid"]
    if identity is None:
        raise SystemExit("the demo stops here: the agent has not enrolled")
    os.kill(agent, signal.SIGSTOP)
    try:
        strongroom("backup", SERVER, "--no-wait")
        lease = take_lease(identity)
        if lease.backup is None or lease.access is None:
            raise SystemExit("the demo stops here: the work was not a backup")
        try_all(lease.access.container_url, lease.backup.generation, lease.access.sas["packs"])
    finally:
        os.kill(agent, signal.SIGCONT)
    say("   the agent goes on, and takes its work back")


def try_all(container: str, generation: str, sas: str) -> None:
    """The very signature that the agent got, on what was written with it and before."""
    told = {name: values[0] for name, values in parse_qs(sas).items()}
    say(f"   the signature: may {told['sp']} (create) below g/{generation}, till {told['se']}")
    root = HOME / "vault" / "store" / urlsplit(container).path.strip("/")
    kept = next(root.glob("g/*/*.pack")).relative_to(root).as_posix()
    new, put = f"g/{generation}/of-the-thief.pack", {"x-ms-blob-type": "BlockBlob"}
    tries = [
        ("add an object", "PUT", f"{new}?", put, True),
        ("read it", "GET", f"{new}?", {}, False),
        ("overwrite it", "PUT", f"{new}?", put, False),
        ("delete it", "DELETE", f"{new}?", {}, False),
        ("read an older pack", "GET", f"{kept}?", {}, False),
        ("overwrite it", "PUT", f"{kept}?", put, False),
        ("delete it", "DELETE", f"{kept}?", {}, False),
        ("list everything", "GET", "?restype=container&comp=list&", {}, False),
        ("write a manifest", "PUT", "p/forged.manifest?", put, False),
        ("add another object", "PUT", f"g/{generation}/another.pack?", put, True),
    ]
    for what, method, path, headers, may in tries:
        url = f"{container}/{path}{sas}".replace("/?", "?")
        content = b"x" if method == "PUT" else None
        answer = httpx.request(method, url, headers=headers, content=content)
        if answer.is_success is not may:
            raise SystemExit(
                f"the agent's signature: {what}: {answer.status_code}, not as promised"
            )
        words = "done" if may else f"refused: {answer.headers['x-ms-error-code']}"
        say(f"   {what:20} {answer.status_code} {words}")


def tools_at_hand() -> Tools:
    for major in (15, 16, 17, 18, 14):
        try:
            return find_tools(major)
        except ToolsMissing:
            continue
    say("   no PostgreSQL here: fetching version 17 ...")
    return install(17)


def tell() -> None:
    begun = time.monotonic()
    stop(quiet=True)
    HOME.mkdir(parents=True)
    HOME.chmod(0o755)
    chapter(1, "A PostgreSQL server with some data")
    tools = tools_at_hand()
    shop = Shop(tools)
    shop.make()
    say(f"   PostgreSQL {tools.major} is up; filling it (some twenty seconds) ...")
    size = shop.fill()
    say(f"   two databases, a tablespace, an extension: {size / 1e6:,.0f} MB")

    chapter(2, "A vault")
    strongroom("up", "--detach")

    chapter(3, "Protect the server: one command, and the first full backup")
    strongroom("protect", "-", "--name", SERVER, conninfo=shop.conninfo())

    chapter(4, "Life goes on; a second backup, and somebody has taken over the database host")
    shop.change()
    rob()
    strongroom("backup", SERVER)
    strongroom("points", SERVER)
    expected = shop.digests()

    chapter(5, "Disaster: the data directory and the tablespace are gone")
    shop.destroy()
    say(f"   {shop.data} exists: {shop.data.exists()}")

    chapter(6, "Restore, and start")
    strongroom("restore", SERVER, "--to-dir", str(shop.data), "--yes")
    shop.start()

    chapter(7, "Is it the same?")
    found = shop.digests()
    for name, (rows, digest) in expected.items():
        same = "equal" if found.get(name) == (rows, digest) else "DIFFERENT"
        say(f"   {name:20} {rows:>9,} rows   digest {same}")
    if found != expected:
        raise SystemExit("the restored server is not the same")
    say(f"   {shop.amcheck()}")

    say(f"\nAll of it took {time.monotonic() - begun:.0f} s.")


def tell_what_is_left() -> None:
    portal = json.loads((HOME / "vault" / "connection.json").read_text())["portal"]
    say(f"The vault is up: {portal}. Try next:")
    say(f"   strongroom status --data {HOME / 'vault'}")
    say("   make demo-stop       stops and removes everything")


def stop(*, quiet: bool = False) -> None:
    vault = HOME / "vault"
    if (vault / "connection.json").exists():
        command = [sys.executable, "-m", "strongroom", "down", "--data", str(vault)]
        subprocess.run(command, capture_output=True, check=False)
    data = HOME / "postgres" / "data"
    if (data / "postmaster.pid").exists():
        major = int((data / "PG_VERSION").read_text())
        scratch.stop(find_tools(major), data, "immediate")
    if HOME.exists():
        shutil.rmtree(HOME)
        if not quiet:
            say("the demo is stopped and removed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stop", action="store_true", help="stop and remove what it left")
    parser.add_argument("--keep", action="store_true", help="leave it running in any case")
    asked = parser.parse_args()
    if asked.stop:
        stop()
        return 0
    keep = asked.keep or sys.stdout.isatty()
    try:
        tell()
        if keep:
            tell_what_is_left()
    except VaultError as error:
        say(f"error: {error.message}\nhint: {error.hint}")
        return 1
    finally:
        if not keep:
            stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
