"""The keys of a vault: ours, not Azure's."""

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.resources import keys
from strongroom.web.api.door import Asked, Body, Vault, does
from strongroom.web.api.long_running import accepted
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_INSTANCE = VAULT + "/backupInstances/{name}"


@router.get(VAULT + "/keys", openapi_extra=does(keys.READ))
def list_keys(ref: Vault, call: Asked) -> dict[str, Any]:
    """The pairs of every instance, and who keeps what opens them."""
    custody, found = keys.list_keys(call.control, call.caller, ref)
    told: dict[str, Any] = msgspec.to_builtins({"value": found, "custody": custody})
    return told


@router.post(_INSTANCE + "/rotateKeys", openapi_extra=does(keys.ROTATE))
def rotate_keys(name: str, ref: Vault, call: Asked) -> Response:
    """Other pairs for what is written from now on; nothing is written anew."""
    operation = keys.rotate_keys(call.control, call.caller, ref, name, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.post(_INSTANCE + "/checkKeys", openapi_extra=does(keys.CHECK))
def check_keys(name: str, ref: Vault, call: Asked) -> Response:
    """See now that every key which a point needs opens; `storageFindings` tells which do not."""
    operation = keys.check_keys(call.control, call.caller, ref, name, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.post(VAULT + "/rotateKeyEncryptionKey", openapi_extra=does(keys.ROTATE_KEK))
def rotate_kek(ref: Vault, call: Asked) -> Response:
    """Seal every private key of the installation under another key."""
    del ref
    operation = keys.rotate_kek(call.control, call.caller, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.post(VAULT + "/replaceRecoveryKey", openapi_extra=does(keys.REPLACE_RECOVERY))
def replace_recovery_key(ref: Vault, body: Body, call: Asked) -> Response:
    """Seal every private key of the installation to another recovery key too: `publicKey`."""
    del ref
    operation = keys.replace_recovery_key(call.control, call.caller, body, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.get(VAULT + "/shredCertificates", openapi_extra=does(keys.READ_CERTIFICATES))
def list_certificates(ref: Vault, call: Asked) -> dict[str, Any]:
    """What was shredded at a purge: signed, with the points that nothing opens any more."""
    return {"value": keys.list_certificates(call.control, call.caller, ref)}
