"""Azure's error codes, the status each has, and which of them our own errors become.

Codes in the second table are ours: Azure's service has no word for what they say.
"""

from typing import Final

from strongroom.model.errors import (
    Conflict,
    Corrupt,
    Forbidden,
    Invalid,
    Locked,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
    Unauthenticated,
    VaultError,
)

AZURE: Final = {
    "InvalidUri": 400,
    "InvalidInput": 400,
    "InvalidHeaderValue": 400,
    "InvalidMetadata": 400,
    "MetadataTooLarge": 400,
    "InvalidQueryParameterValue": 400,
    "OutOfRangeQueryParameterValue": 400,
    "UnsupportedQueryParameter": 400,
    "UnsupportedHeader": 400,
    "InvalidResourceName": 400,
    "InvalidBlockId": 400,
    "InvalidBlockList": 400,
    "InvalidXmlDocument": 400,
    "InvalidXmlNodeValue": 400,
    "InvalidMd5": 400,
    "Md5Mismatch": 400,
    "InvalidAuthenticationInfo": 400,
    "MissingRequiredHeader": 400,
    "NoAuthenticationInformation": 401,
    "AuthenticationFailed": 403,
    "AuthorizationFailure": 403,
    "InsufficientAccountPermissions": 403,
    "AuthorizationPermissionMismatch": 403,
    "AuthorizationProtocolMismatch": 403,
    "AuthorizationSourceIPMismatch": 403,
    "BlobNotFound": 404,
    "ContainerNotFound": 404,
    "ResourceNotFound": 404,
    "UnsupportedHttpVerb": 405,
    "BlobAlreadyExists": 409,
    "ContainerAlreadyExists": 409,
    "BlockCountExceedsLimit": 409,
    "PathConflict": 409,
    "BlobImmutableDueToPolicy": 409,
    "MissingContentLengthHeader": 411,
    "ConditionNotMet": 412,
    "RequestBodyTooLarge": 413,
    "InvalidRange": 416,
    "InternalError": 500,
    "ServerBusy": 503,
    "OperationTimedOut": 500,
}
OURS: Final = {
    "ContainerImmutabilityLocked": 409,  # less is asked for than is locked
    "ContainerNotEmpty": 409,  # a container goes only after its blobs, each of them recorded
    "RequestHeaderFieldsTooLarge": 431,
    "BlobCorrupt": 500,  # the bytes are not those that were written
    "InsufficientStorage": 507,  # no room beside the reserve
}
STATUS: Final = {**AZURE, **OURS}

BY_CLASS: Final[dict[type[VaultError], str]] = {
    Invalid: "InvalidInput",
    Unauthenticated: "NoAuthenticationInformation",
    Forbidden: "AuthorizationFailure",
    Conflict: "PathConflict",
    Locked: "BlobImmutableDueToPolicy",
    ObjectMissing: "ResourceNotFound",
    ObjectExists: "BlobAlreadyExists",
    StoreFull: "InsufficientStorage",
    StoreUnavailable: "ServerBusy",
    StoreDenied: "ServerBusy",  # by our provider: it says nothing of the client's credential
    Corrupt: "BlobCorrupt",
}


def code_of(error: VaultError) -> str:
    """The code that travels in `x-ms-error-code`."""
    if error.code in STATUS:
        return error.code
    return BY_CLASS.get(type(error), "InternalError")
