"""Signed objects in files, checked without anything that runs: the key and the files are enough.

A file holds an object as it lies in storage, or what the portal and the command line hand out: the
object under `statement`, what its drill has found beside it under `result`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from strongroom.datastore.keys.keys import RecoveryKey, read_key_text
from strongroom.datastore.statements.receipt import VerifyKey
from strongroom.datastore.statements.signed import (
    Signed,
    is_its_detail,
    read_signed,
    read_verify_key,
)
from strongroom.model.errors import NotFound

_MOST_BYTES = 256 << 20
_NAMED = re.compile(r"[0-9a-f]{32}\..*(drill|receipt)")  # as objects are named in storage
_NO_JSON = "it cannot be read: it is cut short, has a field twice, or is no signed object"
_OTHER_NAME = "it is genuine and belongs elsewhere: it is not the object of its file's name"
_OTHER_DETAIL = (
    "what was found is told otherwise beside it than when it was signed: it was changed, or its "
    "catalogue was built anew from storage, which has the numbers alone"
)


def check_files(files: Sequence[Path], key: str) -> list[dict[str, Any]]:
    """One dict an object: file, kind, key, states, detail (beside it, and its own), problem.

    key: base64, or a file that has it. Raises Invalid and NotFound for what is asked.
    """
    verify = _key_of(key)
    return [told for file in files for told in _checked(file, verify)]


def _key_of(key: str) -> VerifyKey:
    if not Path(key).is_file():
        return read_verify_key(key)
    text = read_key_text(Path(key))
    if "\nsecret " in text:
        return RecoveryKey.from_text(text).verify
    return read_verify_key(text)


def _checked(file: Path, verify: VerifyKey) -> Iterator[dict[str, Any]]:
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES)
    except OSError as error:
        raise NotFound(
            f"{file} cannot be read: {error.strerror}", hint="name files of evidence"
        ) from error
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        yield _told(file, Signed(states={}, problem=_NO_JSON))
        return
    for each in _objects(document):
        yield _one(file, each, verify)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """No field twice: readers would differ about which one was signed."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _objects(document: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """What may be one, of all that commands and pages hand out."""
    if isinstance(document, dict) and isinstance(document.get("value"), list):
        document = document["value"]
    for each in document if isinstance(document, list) else [document]:
        inner = each.get("properties") if isinstance(each, dict) else None
        yield inner if isinstance(inner, dict) else each


def _one(file: Path, told: Any, verify: VerifyKey) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    handed = isinstance(told, dict) and "statement" in told
    found = read_signed(verify, told["statement"] if handed else told)
    if found.problem:
        return _told(file, found)
    if _NAMED.fullmatch(file.name) and f"p/{file.name}" != found.name:
        return _told(file, found, _OTHER_NAME)
    if not (handed and isinstance(told.get("result"), dict)):
        return _told(file, found)
    own = is_its_detail(found.states, told["result"])
    return {**_told(file, found, "" if own else _OTHER_DETAIL), "detail": own}


def _told(file: Path, found: Signed, problem: str = "") -> dict[str, Any]:
    return {
        "file": str(file),
        "kind": found.kind,
        "key": found.key,
        "states": dict(found.states),
        "detail": None,
        "problem": found.problem or problem,
    }
