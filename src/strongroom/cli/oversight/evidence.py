"""Evidence: what is signed, checked with key and file alone by whoever must not trust us."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.exits import FAILED, OK
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.basis.rest import short_time
from strongroom.model.errors import Invalid

_KINDS = {
    "drill": "a drill of recovery point {recovery_point_id}",
    "receipt": "the receipt of recovery point {recovery_point_id}",
    "certificate": "the certificate that {instance} was shredded",
    "": "nothing that is signed here",
}
_LONGEST = 160
_DETAIL = {
    None: "not beside it: only numbers and its digest are signed",
    True: "beside it, as it was signed",
    False: "beside it, and not what was signed",
}


def check(
    *files: Annotated[Path, Parameter(help="Objects of storage, or what was downloaded.")],
    key: Annotated[
        str,
        Parameter(
            help="The receipt key's public half, in base64 or in a file; without it the "
            "installation is asked."
        ),
    ] = "",
    common: Common = COMMON,
    means: Given,
) -> int:
    """Check the signatures of evidence: of drills, receipts and certificates of shredding.

    With --key it needs no service, no catalogue and no network. Take the key from somebody whom
    you trust, not from the file that it is to prove: `strongroom evidence key` on the control
    plane's machine tells it. Ends with 1 when anything is not genuine.

    ```
    strongroom evidence check drill-orders.json --key receipt.pub
    strongroom evidence check /mnt/copy/backups/p/*.drill --key recovery.key
    ```

    Parameters
    ----------
    files
        Objects of storage (`p/….drill`, `p/….receipt`), drills as the portal hands them out, or
        what `drill show` and `keys certificates` print with `--output json`.
    """
    if not files:
        raise Invalid("no file is named", hint="Name what was downloaded, or objects of storage.")
    found = means.check_evidence(files, key or _asked(common, means))
    if common.output == "json":
        console.as_json(found)
    else:
        for each in found:
            _tell(each)
    wrong = sum(bool(each["problem"]) for each in found)
    console.note(f"{len(found)} checked, {wrong} not genuine")
    return FAILED if wrong else OK


def key(*, common: Common = COMMON, means: Given) -> None:
    """Tell the public half of the key that signs receipts and evidence: it opens nothing.

    ```
    strongroom evidence key > receipt.pub
    ```
    """
    found = _asked(common, means)
    if common.output == "json":
        console.as_json({"key": found})
    else:
        console.say(found)


def _asked(common: Common, means: Means) -> str:
    with vaults.opened(common, means) as vault:
        return str(vault.rest.get(f"{vault.home}/keys")["custody"]["verifyKey"])


def _tell(found: Mapping[str, Any]) -> None:
    states, problem = found["states"], found["problem"]
    console.say(f"{'NOT GENUINE' if problem else 'genuine'}: {found['file']}")
    facts = {"why": problem} if problem else {}
    what = _KINDS[found["kind"]]
    try:
        what = what.format_map(states)
    except KeyError:  # forged, and not even well
        what = what.partition(" {")[0]
    facts["says it is" if problem else "it is"] = _plain(what)
    if found["key"]:
        facts["says its signer is" if problem else "signed by"] = f"key {_plain(found['key'])}"
    if not problem:
        facts |= _facts(found["kind"], states)
    if found["kind"] == "drill" and not problem:
        facts["detail"] = _DETAIL[found["detail"]]
    console.facts(facts)


def _plain(text: str) -> str:
    """What a forger wrote moves no cursor."""
    return "".join(each for each in text if each.isprintable())[:_LONGEST]


def _facts(kind: str, states: Mapping[str, Any]) -> dict[str, str]:
    if kind == "receipt":
        return {
            "of": f"{states['server']}, in vault {states['vault']}",
            "taken": f"{short_time(states['taken_at'])} UTC",
            "committed": f"{short_time(states['committed_at'])} UTC",
            "kept until": f"{short_time(states['expires_at'])} UTC",
            "packs": str(len(states["packs"])),
        }
    if kind == "certificate":
        left = len(states["objects_left"]) + len(states["keys_left"])
        return {
            "of": f"{states['server']}, in vault {states['vault']}",
            "shredded": f"{short_time(states['shredded_at'])} UTC",
            "keys destroyed": f"{len(states['keys'])}, {left} left",
            "points": f"{len(states['points'])}, of which "
            f"{sum(point['opens'] for point in states['points'])} open",
        }
    return {
        "verdict": f"{states['verdict']}, {states['problems']} problems",
        "tried": f"{short_time(states['began_at'])} to {short_time(states['ended_at'])} UTC",
        "counted": f"{states['rows']} rows in {states['tables']} tables "
        f"of {states['databases']} databases",
        "checked": f"{states['relations_checked']} tables and {states['indexes_checked']} indexes",
        "assertions": f"{states['assertions_true']} of {states['assertions']} true",
        "network": states["network"] or "there was no server",
    }
