"""Who keeps which key: told to people, and of no use to open anything."""

import msgspec


class Custody(msgspec.Struct, kw_only=True, rename="camel", frozen=True):
    """Of an installation. Ids are hex; `verify_key` is the receipt key's public half, base64.

    `key_encryption`: files and programs that the private keys are sealed under, the one that
    seals now first.
    """

    key_encryption: list[str] = []
    recovery_key_id: str = ""
    verify_key: str = ""
