"""S3, or whoever speaks like it: Object Lock on each version, create-only by `If-None-Match: *`.

Credentials are looked for where every program of AWS looks, or come from the store's own file
(settings.BackEndSettings). Source: AWS, "Using S3 Object Lock", "Conditional writes".
"""

import contextlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn

from whenever import Instant

from strongroom.model.errors import (
    ObjectExists,
    ObjectMissing,
    Precondition,
    StoreDenied,
    StoreUnavailable,
)
from strongroom.storage.back_ends.back_end import NativeLock, Reading
from strongroom.storage.back_ends.bucket import Listed, Stored, md5_of
from strongroom.storage.basis.settings import GIB, BackEndSettings

_DIGEST = "strongroom-blake3"
_TRIES = 4
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 60
_CONNECTIONS = 32
_ANY_REGION = "us-east-1"
_UNVERSIONED = "null"


class S3Bucket:
    """One bucket; see bucket.Bucket. Safe for threads."""

    most_bytes = 5 * GIB

    def __init__(self, settings: BackEndSettings) -> None:
        self._bucket = settings.container
        self._client = _client(settings)

    def close(self) -> None:
        """Return every connection."""
        self._client.close()

    def why_no_locks(self) -> str:
        """Object Lock and versions, which go together."""
        try:
            self._ask("head_bucket")
        except (ObjectMissing, StoreDenied) as error:
            raise Precondition(
                f"the bucket {self._bucket} cannot be used: {error.message}",
                hint="Make it, and give the store's credentials s3:ListBucket and what "
                "docs/operations.md lists.",
            ) from error
        try:
            found = self._ask("get_object_lock_configuration")
        except (ObjectMissing, StoreDenied, StoreUnavailable) as error:
            return f"the bucket {self._bucket} tells of no Object Lock ({error.message})"
        enabled = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
        return "" if enabled else f"the bucket {self._bucket} was made without Object Lock"

    def put(self, key: str, source: Path, digest: str, keep: NativeLock) -> str:
        """Put Object. Its MD5 goes with it, and is checked there."""
        with source.open("rb") as file:
            told = self._call(
                "put_object",
                key,
                Body=file,
                IfNoneMatch="*",
                ContentMD5=md5_of(source),
                Metadata={_DIGEST: digest},
                **_lock_words(keep),
            )
        return str(told.get("VersionId", ""))

    def versions(self, key: str) -> list[str]:
        """List Object Versions: a delete marker over them hides nothing here."""
        return [each.version for each in self.everything(key) if each.key == key]

    def everything(self, prefix: str) -> Iterator[Listed]:
        """List Object Versions."""
        pages = self._client.get_paginator("list_object_versions")
        with _translated(prefix):
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for each in page.get("Versions", ()):
                    version = "" if each["VersionId"] == _UNVERSIONED else each["VersionId"]
                    yield Listed(each["Key"], version, Instant(each["LastModified"]))

    def look(self, key: str, version: str) -> Stored:
        """Head Object."""
        found = self._call("head_object", key, **_of(version))
        until = found.get("ObjectLockRetainUntilDate")
        lock = NativeLock(
            None if until is None else Instant(until),
            found.get("ObjectLockMode") == "COMPLIANCE",
            found.get("ObjectLockLegalHoldStatus") == "ON",
        )
        return Stored(int(found["ContentLength"]), found["Metadata"].get(_DIGEST, ""), lock)

    def open(self, key: str, version: str, offset: int, length: int | None) -> Reading:
        """Get Object."""
        if length is None and not offset:
            found = self._call("get_object", key, **_of(version))
            return _S3Reading(found["Body"], int(found["ContentLength"]))
        end = "" if length is None else str(offset + length - 1)
        found = self._call("get_object", key, Range=f"bytes={offset}-{end}", **_of(version))
        return _S3Reading(found["Body"], int(found["ContentRange"].rpartition("/")[2]))

    def keep(self, key: str, version: str, now: NativeLock, wanted: NativeLock) -> None:
        """Put Object Retention, Put Object Legal Hold."""
        if wanted.is_held != now.is_held:
            status = {"Status": "ON" if wanted.is_held else "OFF"}
            self._call("put_object_legal_hold", key, LegalHold=status, **_of(version))
        if not now.covers(NativeLock(wanted.until, wanted.is_final)) and wanted.until:
            until = wanted.until if now.until is None else max(wanted.until, now.until)
            mode = "COMPLIANCE" if wanted.is_final or now.is_final else "GOVERNANCE"
            retention = {"Mode": mode, "RetainUntilDate": until.to_stdlib()}
            words = {"Retention": retention, **_of(version)}
            if now.until is None or now.is_final or not wanted.is_final:
                self._call("put_object_retention", key, **words)
                return
            try:
                self._call("put_object_retention", key, **words)
            except (StoreDenied, StoreUnavailable):
                # Some take it for a way around GOVERNANCE, though it only makes it stronger.
                self._call("put_object_retention", key, BypassGovernanceRetention=True, **words)

    def delete(self, key: str, version: str, lock: NativeLock) -> None:
        """Delete Object, of exactly this version; past a GOVERNANCE date by the right to do so."""
        bypass = {"BypassGovernanceRetention": True} if lock.until is not None else {}
        with contextlib.suppress(ObjectMissing):
            self._call("delete_object", key, **_of(version), **bypass)

    def _call(self, verb: str, key: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - botocore's
        with _translated(key):
            told: dict[str, Any] = getattr(self._client, verb)(
                Bucket=self._bucket, Key=key, **more
            )
        return told

    def _ask(self, verb: str) -> dict[str, Any]:
        with _translated(self._bucket):
            told: dict[str, Any] = getattr(self._client, verb)(Bucket=self._bucket)
        return told


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see _client

    try:
        yield
    except ClientError as error:
        _raise(error, what)
    except BotoCoreError as error:
        raise _away(type(error).__name__) from error


class _S3Reading:
    """See back_end.Reading."""

    def __init__(self, body: Any, size: int) -> None:  # noqa: ANN401 - botocore's
        self.size = size
        self._body = body

    def read(self, size: int) -> bytes:
        """The next bytes."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see _client

        try:
            piece: bytes = self._body.read(size)
        except (BotoCoreError, HTTPException, OSError) as error:
            raise _away(type(error).__name__) from error
        return piece

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()


def _client(settings: BackEndSettings) -> Any:  # noqa: ANN401 - botocore makes its classes as it runs
    """Imported here: it takes 40 MB and half a second, and most stores lie on a disk."""
    import botocore.session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    session = botocore.session.Session()
    secrets = settings.secrets
    region = secrets.get("AWS_REGION") or session.get_config_variable("region") or _ANY_REGION
    config = Config(
        region_name=region,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_SILENCE_SECONDS,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        # AWS's newer checksums travel in a form that not all who speak like S3 understand.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if settings.endpoint else {},
    )
    return session.create_client(
        "s3",
        endpoint_url=settings.endpoint or None,
        config=config,
        aws_access_key_id=secrets.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=secrets.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=secrets.get("AWS_SESSION_TOKEN"),
    )


def _of(version: str) -> dict[str, str]:
    return {"VersionId": version} if version else {}


def _lock_words(keep: NativeLock) -> dict[str, Any]:
    words: dict[str, Any] = {}
    if keep.until is not None:
        words["ObjectLockMode"] = "COMPLIANCE" if keep.is_final else "GOVERNANCE"
        words["ObjectLockRetainUntilDate"] = keep.until.to_stdlib()
    if keep.is_held:
        words["ObjectLockLegalHoldStatus"] = "ON"
    return words


def _raise(error: Any, what: str) -> NoReturn:  # noqa: ANN401 - see _client
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 412 or code == "PreconditionFailed":
        raise ObjectExists(f"the bucket holds {what} already") from error
    if status == 404:
        raise ObjectMissing(f"the bucket has no {what} ({code})") from error
    if status in {401, 403}:
        raise StoreDenied(
            f"the bucket refuses {what} ({code})",
            hint="See that the store's credentials may do what docs/operations.md lists.",
        ) from error
    raise _away(f"{what}: {status} {code}") from error


def _away(why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the bucket does not do it: {why}",
        hint="See whether the store's host can reach it, and what the provider says of it.",
    )
