"""A short story on a real PostgreSQL: protect it, destroy it, restore it, prove it is the same.

demo.py           tell it, and leave everything running to play with
demo.py --stop    stop and remove what it left
demo.py --once    tell it, then stop and remove everything (what CI does)
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
from whenever import Instant

from strongroom.model.errors import ToolsMissing, VaultError
from strongroom.model.sas import sign_service_sas
from strongroom.postgres import scratch
from strongroom.postgres.tools import Tools, find_tools, install

HOME = Path(os.environ.get("STRONGROOM_DEMO_DIR", "/tmp/strongroom-demo"))
PORT = 54329
ROWS = 1_400_000
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


def probe_writer() -> None:
    """What a credential like the agent's is refused, tried one by one."""
    found = json.loads((HOME / "vault" / "connection.json").read_text())

    root = HOME / "vault" / "store" / found["blobAccount"]
    pack = next(root.glob("*/g/*/*.pack"))
    container, generation = pack.parents[2].name, pack.parent.name
    sas = sign_service_sas(
        base64.b64decode(found["blobKey"]),
        account=found["blobAccount"],
        container=container,
        path=f"g/{generation}",
        resource="d",
        permissions="c",
        starts=None,
        expires=Instant.now().add(minutes=5),
        protocol="https,http",
    )
    base = f"{found['blob']}/{found['blobAccount']}/{container}"
    name = f"{base}/g/{generation}/{pack.name}"
    put = {"x-ms-blob-type": "BlockBlob"}
    tries = [
        ("read a pack", "GET", f"{name}?{sas}", {}),
        ("overwrite a pack", "PUT", f"{name}?{sas}", put),
        ("delete a pack", "DELETE", f"{name}?{sas}", {}),
        ("list the container", "GET", f"{base}?restype=container&comp=list&{sas}", {}),
        ("write a manifest", "PUT", f"{base}/p/forged.manifest?{sas}", put),
    ]
    for what, method, url, headers in tries:
        answer = httpx.request(
            method, url, headers=headers, content=b"" if method == "PUT" else None
        )
        if answer.status_code < 400:
            raise SystemExit(f"the writer's credential may {what}: this must never happen")
        say(f"   {what:20} refused: {answer.status_code} {answer.headers['x-ms-error-code']}")


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

    chapter(4, "Life goes on, then a second backup")
    shop.change()
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

    chapter(8, "What the agent's credential may not do")
    probe_writer()

    portal = json.loads((HOME / "vault" / "connection.json").read_text())["portal"]
    say(f"\nAll of it took {time.monotonic() - begun:.0f} s. The vault is up: {portal}")
    say("Try next:")
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
    parser.add_argument("--once", action="store_true", help="clean up at the end")
    asked = parser.parse_args()
    if asked.stop:
        stop()
        return 0
    try:
        tell()
    except VaultError as error:
        say(f"error: {error.message}\nhint: {error.hint}")
        return 1
    finally:
        if asked.once:
            stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
