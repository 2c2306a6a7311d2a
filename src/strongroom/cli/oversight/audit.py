"""The audit: see whether it is whole, and take it along."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO
from urllib.parse import urlencode

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.exits import FAILED, OK
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Invalid


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Options of what is wanted of it."""

    who: Annotated[str, Parameter(help="A piece of the name, or of the id, of who did it.")] = ""
    what: Annotated[str, Parameter(help="A piece of the action: restore, policy/write.")] = ""
    scope: Annotated[str, Parameter(help="A piece of what it was done to: a name, an id.")] = ""
    since: Annotated[str, Parameter(help="2026-11-22, or 2026-11-22 14:05; UTC.")] = ""
    until: Annotated[str, Parameter(help="The same: before then, or to the end of that day.")] = ""
    outcome: Annotated[
        Literal["done", "refused", "failed", ""], Parameter(help="How it ended.")
    ] = ""

    def asked(self) -> dict[str, str]:
        """The fields that are given."""
        return {name: value for name, value in asdict(self).items() if value}


ALL = Wanted()


def list_records(
    *,
    wanted: Wanted = ALL,
    most: Annotated[int, Parameter(help="So many at most.")] = 50,
    common: Common = COMMON,
    means: Given,
) -> None:
    """List who did what to what, when, from where and how it ended; the newest first.

    ```
    strongroom audit list --outcome refused
    strongroom audit list --who anna --what restore --since 2026-11-22
    ```
    """
    if most < 1:
        raise Invalid("--most is at least 1", hint="leave it out for the newest 50")
    with vaults.opened(common, means) as vault:
        pages = _records(vault, {**wanted.asked(), "newest": "true"})
        found = list(islice(pages, most))
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (
            str(each["sequence"]),
            short_time(each["at"]),
            each["outcome"],
            each["who"],
            each["address"],
            each["action"],
            each["target"].rpartition("/")[2] or each["target"],
        )
        for each in found
    ]
    columns = ("no.", "when (UTC)", "outcome", "who", "from", "what", "to what")
    console.table(columns, rows, "no record fits")


def verify(*, common: Common = COMMON, means: Given) -> int:
    """Check the audit chain: links, digests, signatures, and the anchors in storage.

    Ends with 1 when a record was edited, left out, cut off or not signed by this installation.
    A gap that a restore of the catalogue has left, and a signed record names, is told each time.

    ```
    strongroom audit verify
    ```
    """
    with vaults.opened(common, means) as vault:
        found = _verify(vault)
    if common.output == "json":
        console.as_json(found)
    else:
        _tell(found)
    return FAILED if found["problems"] else OK


def export(
    *,
    to: Annotated[Path | None, Parameter(help="A new file; without it, standard output.")] = None,
    after: Annotated[int, Parameter(help="Begin behind this record.")] = 0,
    wanted: Wanted = ALL,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Write the audit as JSON Lines: a record a line, with its digest and signature.

    All of it, or what is wanted of it: then no chain leads from line to line.

    ```
    strongroom audit export --to audit.jsonl
    strongroom audit export --outcome failed --since 2026-11-01
    strongroom audit export --after 5000
    ```

    Parameters
    ----------
    to
        A new file; without it, standard output.
    """
    count = 0
    with vaults.opened(common, means) as vault, _written(to) as out:
        for record in _records(vault, {"$skipToken": str(after), **wanted.asked()}):
            out.write(json.dumps(record, sort_keys=True) + "\n")
            count += 1
    console.note(f"{count} records")


def _place(vault: Vault) -> str:
    home = f"/subscriptions/{vault.connection.subscription}"
    return f"{home}/providers/Microsoft.DataProtection/auditRecords"


def _verify(vault: Vault) -> dict[str, Any]:
    """Every stretch, taken together."""
    checked, problems, after = 0, [], 0
    while True:
        path = f"{_place(vault)}/verify?api-version={vault.rest.version}&$skipToken={after}"
        part = vault.rest.post(path, {})
        checked += part["checked"]
        problems += part["problems"]
        if part["next"] is None:
            return {**part, "checked": checked, "problems": problems}
        after = part["next"]


def _records(vault: Vault, asked: dict[str, str]) -> Iterator[dict[str, Any]]:
    path = f"{_place(vault)}?{urlencode({'api-version': vault.rest.version, **asked})}"
    while path:
        page = vault.rest.get(path)
        yield from page["value"]
        path = str(page.get("nextLink") or "")


@contextmanager
def _written(to: Path | None) -> Iterator[TextIO]:
    if to is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Invalid(
            f"{to} cannot be made: {error.strerror}", hint="Name a file that is not there yet."
        ) from error
    with os.fdopen(descriptor, "w") as out:
        yield out


def _tell(found: dict[str, Any]) -> None:
    for gap in found["gaps"]:
        told = f"records {gap['first']} to {gap['last']}, and what came behind without an anchor, "
        told += "are lost: the catalogue was restored from "
        told += f"a copy that ended with record {gap['after']}" if gap["after"] else "storage"
        console.say(
            f"known gap: {told}, says record {gap['sequence']} by {gap['by']}, {gap['at']}"
        )
    for problem in found["problems"]:
        console.say(f"record {problem['sequence']}: {problem['kind']}: {problem['message']}")
    anchored = f"record {found['anchoredTo']}" if found["anchors"] else "none yet"
    console.facts(
        {
            "records": f"{found['checked']} checked, {len(found['problems'])} problems, "
            f"{len(found['gaps'])} known gaps",
            "last": f"{found['last']} {found['digest']}",
            "anchored to": anchored,
        }
    )
