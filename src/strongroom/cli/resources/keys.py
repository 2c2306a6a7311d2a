"""Keys: which there are, new ones in their place, whether all of them open, the recovery kit."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import connection, console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.basis.rest import short_time
from strongroom.cli.basis.running import Place, write_private
from strongroom.cli.basis.vault import Vault
from strongroom.cli.resources.safekeeping import note_kit
from strongroom.model.errors import Failed, Forbidden, Invalid, NotFound

KEY = "key"  # the kind of a storage finding
_SHARES = re.compile(r"(\d{1,2})(?:-of-|/)(\d{1,2})")


def list_keys(*, common: Common = COMMON, means: Given) -> None:
    """List the key pairs of every protected server, and who keeps what opens them.

    ```
    strongroom keys list
    ```
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.get(f"{vault.home}/keys")
    if common.output == "json":
        console.as_json(found)
        return
    custody = found["custody"]
    sealing, *others = custody["keyEncryption"] or ["nobody"]
    console.facts(
        {
            "sealed under": sealing + (f" (opens too: {', '.join(others)})" if others else ""),
            "recovery key": custody["recoveryKeyId"],
        }
    )
    rows = [
        (
            key["instance"],
            key["purpose"],
            str(key["number"]),
            key["keyId"],
            short_time(key["createdAt"]),
            "writes" if key["inUse"] else "opens older points",
        )
        for key in found["value"]
    ]
    columns = ("server", "purpose", "no.", "key", "made (UTC)", "use")
    console.table(columns, rows, "nothing is protected yet: strongroom protect CONNINFO")


def rotate(
    name: str = "",
    /,
    *,
    kek: Annotated[
        bool, Parameter(negative="", help="Seal all private keys under another key.")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Put new keys in the place of old ones. Nothing that is stored is written anew.

    With NAME what is backed up from now on is sealed to new pairs; older points open as before.
    With --kek the private keys in the catalogue are sealed under another key-encryption key.

    ```
    strongroom keys rotate orders
    strongroom keys rotate --kek
    ```

    Parameters
    ----------
    name
        The protected server whose pairs are rotated.
    """
    if bool(name) == kek:
        raise Invalid("name a protected server, or say --kek", hint="one of the two")
    with vaults.opened(common, means) as vault:
        if kek:
            vault.rest.post(f"{vault.home}/rotateKeyEncryptionKey", {})
        else:
            vault.need_instance(name)
            vault.rest.post(f"{vault.instance(name)}/rotateKeys", {})
    list_keys(common=common, means=means)


def check(name: str = "", /, *, common: Common = COMMON, means: Given) -> None:
    """See that every key which a recovery point needs opens. It is done by itself every day.

    The exit code is 1 when one does not.

    ```
    strongroom keys check
    ```

    Parameters
    ----------
    name
        The protected server; all of them when it is left out.
    """
    with vaults.opened(common, means) as vault:
        names = vault.names(name)
        found = [told for each in names for told in _checked(vault, each)]
    if common.output == "json":
        console.as_json(found)
    elif not found:
        console.say(f"every key of {len(names)} protected server(s) opens")
    else:
        rows = [(each["server"], each["key"], each["problem"]) for each in found]
        console.table(("server", "key", "problem"), rows, "")
    if found:
        raise Failed(
            f"{len(found)} key(s) are not as they should be",
            hint="Put back the key-encryption key or the catalogue; what was missing in storage "
            "has been put again.",
        )


def _checked(vault: Vault, name: str) -> list[dict[str, Any]]:
    vault.need_instance(name)
    vault.rest.post(f"{vault.instance(name)}/checkKeys", {})
    return [
        {"server": name, "key": each["name"], "problem": each["problem"]}
        for each in vault.findings(name)
        if each["kind"] == KEY
    ]


Shares = Annotated[str, Parameter(help="N-of-M: so many of so many documents suffice.")]
To = Annotated[
    Path | None, Parameter(help="A directory for the documents, instead of printing them.")
]


def kit(
    *,
    shares: Shares = "",
    to: To = None,
    remove: Annotated[
        bool, Parameter(negative="", help="Take the recovery key off this machine afterwards.")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Put the recovery key on paper: a kit that restores everything without us, or its shares.

    It is made of DIR/recovery.key, as long as that is here. Later there is `new-kit`.

    ```
    strongroom keys kit
    strongroom keys kit --shares 2-of-3 --to /media/usb --remove
    ```
    """
    needed, count = _read_shares(shares)
    place = Place(connection.data_directory(common))
    if not place.recovery_key.exists():
        raise NotFound(
            f"{place.recovery_key} is not here: its kit was handed over",
            hint="Use that kit; if it is lost, `strongroom keys new-kit` makes another.",
        )
    _hand_over(means.make_kit(place.recovery_key.read_text(), needed, count), to)
    note_kit(place, means.public_of([place.recovery_key]))
    if remove:
        place.recovery_key.unlink()
        console.note(f"{place.recovery_key} was removed: from now on there is the kit alone")


def new_kit(
    *,
    shares: Shares = "",
    to: To = None,
    use: Annotated[
        list[Path] | None,
        Parameter(help="The documents of a kit that had to wait for its approval."),
    ] = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Make another recovery key, with a kit of its own: the kit was lost, or seen.

    Its secret is made on this machine and leaves it on paper alone: the control plane is told what
    is public, and seals every key to it. Where a guard protects the vault that needs an approval:
    the kit is made, and taken later with `--use`.

    ```
    strongroom keys new-kit --shares 2-of-3 --to /media/usb
    strongroom keys new-kit --use share-1.txt --use share-2.txt
    ```
    """
    numbers = _read_shares(shares)
    with vaults.opened(common, means) as vault:
        public = means.public_of(use) if use else _make(vault, means, numbers, to)
        _take(vault, public)
    note_kit(Place(connection.data_directory(common)), public)


def _read_shares(text: str) -> tuple[int, int]:
    if not text:
        return 1, 1
    found = _SHARES.fullmatch(text)
    if found is None:
        raise Invalid(f"{text[:40]!r} is no number of shares", hint="write it as 2-of-3")
    return int(found[1]), int(found[2])


def _make(vault: Vault, means: Means, shares: tuple[int, int], to: Path | None) -> str:
    """The kit is out before anything is sealed to it. Returns the public half."""
    verify = vault.rest.get(f"{vault.home}/keys")["custody"]["verifyKey"]
    text, public = means.make_recovery_key(verify)
    _hand_over(means.make_kit(text, *shares), to)
    return public


def _take(vault: Vault, public: str) -> None:
    try:
        vault.rest.post(f"{vault.home}/replaceRecoveryKey", {"publicKey": public})
    except Forbidden:
        console.note(
            "keep the kit: once that is approved, `strongroom keys new-kit --use FILE` takes it"
        )
        raise
    console.note("every key is sealed to this kit; one that was made before opens what is older")


def _hand_over(documents: list[str], to: Path | None) -> None:
    if to is None:
        console.say("\f".join(documents))  # each on a page of its own
        return
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = ["kit.txt"] if len(documents) == 1 else []
    names = names or [f"share-{number}.txt" for number in range(1, len(documents) + 1)]
    for name, text in zip(names, documents, strict=True):
        path = to / name
        if path.exists():
            raise Invalid(f"{path} is there already", hint="Name another directory.")
        write_private(path, text.encode())
        console.say(os.fspath(path))


def certificates(*, common: Common = COMMON, means: Given) -> None:
    """List what was shredded: whose keys are gone, and which points nothing opens any more.

    ```
    strongroom keys certificates --output json
    ```
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.list(f"{vault.home}/shredCertificates")
    if common.output == "json":
        console.as_json(found)
        return
    bodies = [each["body"] for each in found]
    rows = [
        (
            str(body["instance"]),
            short_time(body["shredded_at"]),
            str(len(body["keys"])),
            str(len(body["points"])),
        )
        for body in bodies
    ]
    columns = ("server", "shredded (UTC)", "keys", "points")
    console.table(columns, rows, "nothing was shredded")
