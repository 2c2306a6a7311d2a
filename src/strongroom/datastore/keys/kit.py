"""The recovery kit: the recovery key for paper, whole or in shares of which some suffice.

A document has lines that a person can type back, whatever the case of the letters:

    K01 ABCD EFGH IJKL MNOP QRST UVWX YZ23 4567 : 9c41

32 letters of base32 (RFC 4648, no padding) and the first four hex digits of the BLAKE3 of label
and letters. Laid together they are a payload and the first four bytes of its BLAKE3:

    whole    u8 1 | 96 secret of the recovery key | 32 public half of the receipt key
    share    u8 2 | u8 needed | u8 number | 8 set | 32 share | 12 nonce
             | AES-256-GCM(secret of the set, 128 bytes as above, AAD = set)

The secret of a set is 32 bytes, each half of which is shared on its own over GF(2^128): Shamir's
scheme as pycryptodome has it.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3
from Crypto.Protocol.SecretSharing import Shamir
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.datastore.keys.keys import RecoveryKey
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.statements.receipt import VerifyKey
from strongroom.model.errors import Corrupt, Invalid
from strongroom.model.seams import Chance

MOST_SHARES = 16
_WHOLE, _SHARE = 1, 2
_LETTERS = 32  # a line
_SECRET = 96
_LINE = re.compile(r"\s*K(\d\d)((?: [A-Z2-7]{1,4})+) : ([0-9A-F]{4})\s*", re.IGNORECASE)
_RETYPE = "type the lines as they stand on the paper: letters, and 2 to 7"


def whole_kit(key: RecoveryKey) -> str:
    """One document that is enough."""
    intro = (
        "With this kit and a copy of the storage everything is restored. Without it,\n"
        "once the control plane is lost, nothing is. Keep it on paper, away from both."
    )
    return _document("RECOVERY KIT", intro, bytes([_WHOLE]) + _content(key), "--key FILE")


def share_kit(key: RecoveryKey, needed: int, count: int, chance: Chance) -> list[str]:
    """`count` documents, of which any `needed` are enough, and fewer tell nothing.

    Raises Invalid for numbers that make no sense.
    """
    if not 2 <= needed <= count <= MOST_SHARES:
        raise Invalid(
            f"{needed} of {count} shares is not possible",
            hint=f"take at least 2 that are needed, and at most {MOST_SHARES} in all",
        )
    secret, set_id, nonce = chance.bytes(32), chance.bytes(8), chance.bytes(12)
    sealed = nonce + AESGCM(secret).encrypt(nonce, _content(key), set_id)
    halves = [Shamir.split(needed, count, half) for half in (secret[:16], secret[16:])]
    found = []
    for (number, left), (_, right) in zip(*halves, strict=True):
        payload = bytes([_SHARE, needed, number]) + set_id + left + right + sealed
        intro = (
            f"This is share {number} of {count}: any {needed} of them, with a copy of the storage,"
            "\nrestore everything; fewer tell nothing. Give each to another person, on paper."
        )
        title = f"RECOVERY KIT, SHARE {number} OF {count}"
        found.append(_document(title, intro, payload, "--key SHARE --key SHARE ..."))
    return found


def _content(key: RecoveryKey) -> bytes:
    return key.pair.to_bytes() + key.verify.raw


def _document(title: str, intro: str, payload: bytes, keys: str) -> str:
    use = f"    strongroom rescue --storage DIRECTORY {keys}"
    how = "To use it, type the lines that begin with K into a file, and run:"
    lines = "\n".join(_lines(payload + blake3(payload).digest(4)))
    return f"STRONGROOM {title}\n\n{intro}\n{how}\n\n{use}\n\n{lines}\n"


def _lines(raw: bytes) -> list[str]:
    text = base64.b32encode(raw).decode().rstrip("=")
    cuts = [text[at : at + _LETTERS] for at in range(0, len(text), _LETTERS)]
    found = []
    for number, letters in enumerate(cuts, 1):
        groups = " ".join(letters[at : at + 4] for at in range(0, len(letters), 4))
        found.append(f"K{number:02} {groups} : {_check(number, letters)}")
    return found


def _check(number: int, letters: str) -> str:
    return blake3(f"K{number:02}{letters}".encode()).hexdigest()[:4]


def read_kit(texts: Sequence[str]) -> RecoveryKey:
    """From documents, or from a recovery key file. Raises Invalid, naming the line."""
    if len(texts) == 1 and not _LINE.search(texts[0]):
        return RecoveryKey.from_text(texts[0])
    payloads = [_payload(text) for text in texts]
    whole = [payload for payload in payloads if payload[0] == _WHOLE]
    if whole:
        return _key(whole[0][1:])
    return _key(_joined([_Share.read(payload) for payload in payloads]))


def _payload(text: str) -> bytes:
    letters = ""
    found = [match for line in text.splitlines() if (match := _LINE.fullmatch(line))]
    for expected, match in enumerate(found, 1):
        number, part = int(match[1]), match[2].replace(" ", "").upper()
        if number != expected:
            raise Invalid(f"line K{expected:02} of the recovery kit is missing", hint=_RETYPE)
        if _check(number, part) != match[3].lower():
            raise Invalid(f"line K{number:02} of the recovery kit is mistyped", hint=_RETYPE)
        letters += part
    try:
        raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except binascii.Error:
        raw = b""
    if len(raw) < 6 or blake3(raw[:-4]).digest(4) != raw[-4:]:
        raise Invalid("the recovery kit is not whole: its last lines are missing", hint=_RETYPE)
    return raw[:-4]


@dataclass(frozen=True, slots=True)
class _Share:
    needed: int
    number: int
    set_id: bytes
    halves: tuple[bytes, bytes]
    sealed: bytes

    @classmethod
    def read(cls, raw: bytes) -> "_Share":
        if raw[0] != _SHARE or len(raw) <= 55:
            raise Invalid("this recovery kit is of a newer strongroom", hint="use that one")
        return cls(raw[1], raw[2], raw[3:11], (raw[11:27], raw[27:43]), raw[43:])


def _joined(shares: list[_Share]) -> bytes:
    first = shares[0]
    if {(share.set_id, share.sealed) for share in shares} != {(first.set_id, first.sealed)}:
        raise Invalid(
            "these shares are of several kits", hint="take those that were made together"
        )
    distinct = {share.number: share for share in shares}
    if len(distinct) < first.needed:
        raise Invalid(
            f"{first.needed} shares of the kit are needed, {len(distinct)} are here",
            hint="name each with a --key of its own",
        )
    chosen = list(distinct.values())[: first.needed]
    secret = b"".join(
        Shamir.combine([(share.number, share.halves[half]) for share in chosen]) for half in (0, 1)
    )
    try:
        return AESGCM(secret).decrypt(first.sealed[:12], first.sealed[12:], first.set_id)
    except InvalidTag as error:
        raise Invalid(
            "these shares do not fit together", hint="look for a mixed-up one"
        ) from error


def _key(content: bytes) -> RecoveryKey:
    try:
        pair = KeyPair.from_bytes(content[:_SECRET])
        return RecoveryKey(pair, VerifyKey(content[_SECRET:]))
    except (Corrupt, ValueError) as error:
        raise Invalid("this recovery kit is of a newer strongroom", hint="use that one") from error
