"""A second reader of the recovery format, written from docs/format.md alone.

It imports nothing of strongroom: it is the proof that the page suffices. Slow, whole objects in
memory, plain files out. Run it as

    python second_reader.py CONTAINER RECOVERY_KEY_FILE POINT TARGET

and it restores recovery point POINT from the directory CONTAINER into the new directory TARGET;
without POINT and TARGET it lists the points that a receipt vouches for.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path
from uuid import UUID

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Unreadable(Exception):
    """What lies there is not what the page describes."""


def demand(condition, what):
    if not condition:
        raise Unreadable(what)


# --- sealing: "Sealing to a public key"

KEM_ID, KDF_ID, AEAD_ID = 0x647A, 1, 2
SUITE_ID = b"HPKE" + struct.pack(">HHH", KEM_ID, KDF_ID, AEAD_ID)


def extract(salt, label, material):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + SUITE_ID + label + material, "sha256")


def expand(key, label, info, length):
    labelled = struct.pack(">H", length) + b"HPKE-v1" + SUITE_ID + label + info
    out = block = b""
    while len(out) < length:
        block = hmac.digest(key, block + labelled + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:length]


class PrivateKey:
    """96 bytes: seed of ML-KEM-768, then X25519."""

    def __init__(self, raw):
        demand(len(raw) == 96, "a private key has 96 bytes")
        self.mlkem = MLKEM768PrivateKey.from_seed_bytes(raw[:64])
        self.x25519 = X25519PrivateKey.from_private_bytes(raw[64:])
        self.x_public = self.x25519.public_key().public_bytes_raw()
        self.public = self.mlkem.public_key().public_bytes_raw() + self.x_public
        self.key_id = blake3(self.public).digest(16)

    def open(self, info, sealed):
        encapsulated, ciphertext = sealed[:1120], sealed[1120:]
        demand(len(encapsulated) == 1120, "a sealed secret is cut off")
        first = self.mlkem.decapsulate(encapsulated[:1088])
        their_public = encapsulated[1088:]
        second = self.x25519.exchange(X25519PublicKey.from_public_bytes(their_public))
        shared = hashlib.sha3_256(
            first + second + their_public + self.x_public + b"\x5c\x2e\x2f\x2f\x5e\x5c"
        ).digest()
        context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
        secret = extract(shared, b"secret", b"")
        key = expand(secret, b"key", context, 32)
        nonce = expand(secret, b"base_nonce", context, 12)
        return AESGCM(key).decrypt(nonce, ciphertext, b"")


# --- msgpack, the part of it that the page names


def unpack(raw):
    value, end = _value(raw, 0)
    demand(end == len(raw), "bytes after the message")
    return value


def _number(raw, at, form):
    size = struct.calcsize(form)
    demand(at + size <= len(raw), "a message is cut off")
    return struct.unpack_from(form, raw, at)[0], at + size


def _value(raw, at):  # noqa: PLR0911 - a line for each kind
    demand(at < len(raw), "a message is cut off")
    tag, at = raw[at], at + 1
    if tag <= 0x7F:
        return tag, at
    if tag >= 0xE0:
        return tag - 256, at
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    numbers = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
    numbers |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    if tag in numbers:
        return _number(raw, at, numbers[tag])
    if tag <= 0x8F:
        return _map(raw, at, tag & 15)
    if tag <= 0x9F:
        return _list(raw, at, tag & 15)
    if tag <= 0xBF:
        return _text(raw, at, tag & 31)
    sized = {0xC4: (">B", _bin), 0xC5: (">H", _bin), 0xC6: (">I", _bin)}
    sized |= {0xD9: (">B", _text), 0xDA: (">H", _text), 0xDB: (">I", _text)}
    sized |= {0xDC: (">H", _list), 0xDD: (">I", _list), 0xDE: (">H", _map), 0xDF: (">I", _map)}
    demand(tag in sized, f"a value of kind {tag:#x}")
    form, read = sized[tag]
    count, at = _number(raw, at, form)
    return read(raw, at, count)


def _bin(raw, at, count):
    demand(at + count <= len(raw), "a message is cut off")
    return bytes(raw[at : at + count]), at + count


def _text(raw, at, count):
    value, at = _bin(raw, at, count)
    return value.decode(), at


def _list(raw, at, count):
    found = []
    for _ in range(count):
        value, at = _value(raw, at)
        found.append(value)
    return found, at


def _map(raw, at, count):
    found = {}
    for _ in range(count):
        key, at = _value(raw, at)
        found[key], at = _value(raw, at)
    return found, at


# --- packs: "A pack, byte by byte"

HEADER = struct.Struct(">8sB16s16sH")


def raw_stream(stored, magic, private_keys):
    """The raw stream of a whole object."""
    demand(len(stored) >= 1211 + 20 + 12, "an object is shorter than an empty pack")
    found, suite, pack_id, key_id, length = HEADER.unpack_from(stored)
    demand(found == magic, f"magic {found!r}, not {magic!r}")
    demand(suite == 1 and length == 1168, f"suite {suite}")
    demand(key_id in private_keys, f"no key {key_id.hex()}")
    content_key = AESGCM(private_keys[key_id].open(stored[:43], stored[43:1211]))
    table_length, end = struct.unpack(">I8s", stored[-12:])
    demand(end == b"SRPACKED", "no trailer")
    table_start = len(stored) - 12 - table_length
    count = (table_length - 16 - 4) // 8
    demand(table_start >= 1211 and count >= 0, "a table of an impossible length")
    table = content_key.decrypt(
        (2**95).to_bytes(12, "big"), stored[table_start:-12], pack_id + struct.pack(">I", count)
    )
    frame_size, *lengths = struct.unpack(f">I{2 * count}I", table)
    raw, at = [], 1211
    for number, (stored_length, raw_length) in enumerate(
        zip(lengths[::2], lengths[1::2], strict=True)
    ):
        demand(raw_length == frame_size or number == count - 1, "a short frame in the middle")
        nonce = number.to_bytes(12, "big")
        aad = pack_id + nonce + struct.pack(">I", raw_length)
        frame = content_key.decrypt(nonce, stored[at : at + stored_length], aad)
        if len(frame) != raw_length:
            demand(zstandard.frame_content_size(frame) == raw_length, "another raw length")
            frame = zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
        raw.append(frame)
        at += stored_length
    if at < table_start:  # digests of pages, which no restore needs
        digests = content_key.decrypt(
            (2**95 + 1).to_bytes(12, "big"),
            stored[at:table_start],
            pack_id + struct.pack(">I", (table_start - at - 16) // 8),
        )
        demand(len(digests) == sum(lengths[1::2]) // 8192 * 8, "not a digest for each page")
        at = table_start
    demand(at == table_start, "frames and table do not meet")
    return pack_id, b"".join(raw)


# --- the recovery key, receipts, manifests


class RecoveryKey:
    def __init__(self, text):
        lines = text.strip().splitlines()
        demand(lines[0] == "strongroom recovery key 1", "not a recovery key")
        parts = dict(line.split(" ", 1) for line in lines[1:])
        self.private = PrivateKey(base64.b64decode(parts["secret"]))
        self.verify = Ed25519PublicKey.from_public_bytes(base64.b64decode(parts["verify"]))


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def receipt_of(container, recovery, point):
    stored = (container / f"p/{point}.receipt").read_bytes()
    told = json.loads(stored)
    demand(stored == canonical(told), "a receipt in another form")
    body = told["body"]
    signed = b"strongroom-receipt-1\n" + canonical(body)
    recovery.verify.verify(base64.b64decode(told["signature"]), signed)
    demand(body["version"] == 1 and body["recovery_point_id"] == point, "another receipt")
    return body


def vouched_points(container, recovery):
    """Points in the order of time, those only that a valid receipt vouches for."""
    found = []
    for path in (container / "p").glob("*.manifest"):
        try:
            receipt = receipt_of(container, recovery, path.stem)
        except (Unreadable, InvalidSignature, OSError, ValueError, KeyError):
            continue
        digest = base64.b64encode(blake3(path.read_bytes()).digest()).decode()
        if digest == receipt["manifest_blake3"]:
            found.append(receipt)
    return sorted(found, key=lambda receipt: receipt["taken_at"])


def instance_keys(container, recovery):
    keys = {}
    for path in (container / "k").glob("*.key"):
        key, _, later = path.stem.partition(".")
        mine = recovery.private.key_id.hex()
        if later not in {"", mine} or (not later and path.with_suffix(f".{mine}.key").exists()):
            continue  # sealed to another recovery key
        key_id = bytes.fromhex(key)
        info = b"strongroom-instance-key-1" + key_id
        told = unpack(recovery.private.open(info, path.read_bytes()))
        keys[key_id] = PrivateKey(told["secret"])
        demand(keys[key_id].key_id == key_id, "a key under another name")
    return keys


def restore(container, recovery, point, target):
    """Write a recovery point below `target`, which must not exist; gives the manifest."""
    line = (container / "FORMAT").read_bytes()
    demand(line == b"strongroom-format 1\n", f"another format: {line!r}")
    receipt = receipt_of(container, recovery, point)
    stored = (container / f"p/{point}.manifest").read_bytes()
    digest = base64.b64encode(blake3(stored).digest()).decode()
    demand(digest == receipt["manifest_blake3"], "the manifest is not the one in the receipt")
    keys = instance_keys(container, recovery)
    _, raw = raw_stream(stored, b"SRMANI01", keys)
    manifest = unpack(raw)
    demand(manifest["version"] == 1, "another manifest")
    demand(manifest["facts"]["recovery_point_id"] == point, "the manifest of another point")
    target.mkdir(parents=True)
    lay_out(manifest["files"], target)
    columns = manifest["extents"]
    forms = {"file": "I", "offset": "Q", "length": "Q", "pack": "I", "raw": "I"}
    rows = zip(
        *(
            struct.unpack(f"<{len(columns[name]) // struct.calcsize(form)}{form}", columns[name])
            for name, form in forms.items()
        ),
        strict=True,
    )
    by_pack = {}
    for file, offset, length, pack, start in rows:
        by_pack.setdefault(pack, []).append((file, offset, length, start))
    for pack, pieces in by_pack.items():
        raw = pack_stream(container, manifest["packs"][pack], keys)
        for file, offset, length, start in pieces:
            demand(start + length <= len(raw), "an extent beyond its pack")
            with (target / manifest["files"][file]["path"]).open("r+b") as out:
                out.seek(offset)
                out.write(raw[start : start + length])
    return manifest


def pack_stream(container, facts, keys):
    name = f"g/{facts['generation']}/{UUID(bytes=facts['id'])}.pack"
    stored = (container / name).read_bytes()
    demand(len(stored) == facts["size"], f"{name} has another size")
    demand(blake3(stored).digest() == facts["blake3"], f"{name} has another digest")
    pack_id, raw = raw_stream(stored, b"SRPACK01", keys)
    demand(pack_id == facts["id"], f"under {name} lies another pack")
    return raw


def page_versions(container, manifest, keys):
    """Path -> the words of its pages, packed: no restore needs them, the next increment does."""
    packed = dict(manifest.get("page_versions", {}))
    for part in manifest.get("page_parts", []):
        name = f"g/{part['generation']}/{UUID(bytes=part['id'])}.pack"
        stored = (container / name).read_bytes()
        demand(blake3(stored).digest() == part["blake3"], f"{name} has another digest")
        _, raw = raw_stream(stored, b"SRPAGE01", keys)
        found = unpack(raw)
        demand(list(found) == part["paths"], f"{name} is of other files")
        packed |= found
    return packed


def lay_out(files, target):
    """Directories, and empty files of full length; tablespaces become directories in place."""
    for file in files:
        parts = file["path"].split("/")
        demand(not {"", ".", ".."}.intersection(parts), f"a path outside: {file['path']!r}")
        place = target.joinpath(*parts)
        if file["kind"] in ("directory", "link"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as out:
            out.truncate(file["size"])


# --- "Condensed log"

CRC_32C = list(range(256))
for _ in range(8):
    CRC_32C = [each >> 1 ^ (0x82F63B78 if each & 1 else 0) for each in CRC_32C]


def crc_32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_32C[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def log_range(stored, keys):
    """(start, log) of a condensed pack."""
    _, raw = raw_stream(stored, b"SRXLOG01", keys)
    start, length, segment, digest, count = struct.unpack_from(">QII32sI", raw)
    rest = iter(raw[52 + 16 * count :])
    log = bytearray()

    def take(end):  # as the log goes on up to an offset
        log.extend(next(rest) for _ in range(end - len(log)))

    for number in range(count):
        at, records, before = struct.unpack_from(">IIQ", raw, 52 + 16 * number)
        for _ in range(records):
            if (start + at) % 8192 == 0:
                at += 24 if (start + at) % segment else 40
            left = 8192 - (start + at) % 8192
            take(at + 8)
            if left >= 24:
                log.extend(struct.pack("<Q", before))
                take(at + 20)
                log.extend(bytes(4))
            end, missing = at, int.from_bytes(log[at : at + 4], "little")
            places = []  # of the record's bytes, without the headers of pages
            while missing:
                if (start + end) % 8192 == 0:
                    end += 24 if (start + end) % segment else 40
                part = min(missing, 8192 - (start + end) % 8192)
                places += range(end, end + part)
                end, missing = end + part, missing - part
            take(end)
            if left >= 24:
                record = bytes(log[place] for place in places)
                log[at + 20 : at + 24] = struct.pack("<I", crc_32c(record[24:] + record[:20]))
            before = start + at
            at = end + -(start + end) % 8
    log.extend(rest)
    demand(len(log) == length and blake3(log).digest() == digest, "not the log of that range")
    return start, bytes(log)


def main(arguments):
    container, recovery = Path(arguments[0]), RecoveryKey(Path(arguments[1]).read_text())
    if len(arguments) == 2:
        for receipt in vouched_points(container, recovery):
            print(receipt["recovery_point_id"], receipt["taken_at"], receipt["server"])
        return
    restore(container, recovery, arguments[2], Path(arguments[3]))


if __name__ == "__main__":
    main(sys.argv[1:])
