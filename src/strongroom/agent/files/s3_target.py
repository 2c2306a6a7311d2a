"""A bucket as a target: S3, or whoever speaks like it. The agent's own credentials open it.

They are looked for where every program of AWS looks: the environment (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3), the files of `aws configure`, the role of
the machine. A multipart upload becomes an object at its end, with `If-None-Match: *`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from strongroom.agent.files.parts_upload import PartsUpload
from strongroom.agent.files.targets import PIECE, Sink
from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import (
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    TargetNotEmpty,
    TargetRefused,
)

_JOB = "strongroom-job"
_TRIES = 6
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 120
_ANY_REGION = "us-east-1"
_TAKEN = frozenset(("PreconditionFailed", "ConditionalRequestConflict", "412", "409"))


class S3Target:
    """One job's objects, below one prefix."""

    directory: Path | None = None

    def __init__(
        self, held: HeldLease, url: str, endpoint: str, job: str, *, tries: int = _TRIES
    ) -> None:
        """`url` is s3://bucket[/prefix]; `endpoint` empty: AWS's, or what the environment says."""
        parts = urlsplit(url)
        self._held = held
        self._url = url
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/".lstrip("/")
        self._job = job
        self._client = _client(endpoint, tries)

    def close(self) -> None:
        """Return every connection."""
        self._client.close()

    @property
    def place(self) -> str:
        """s3://bucket/prefix."""
        return self._url

    def claim(self) -> None:
        """Nothing to do: a name that is taken is found when it is asked for."""

    def settle(self) -> None:
        """Nothing to do: each object is there whole."""

    def holds(self, name: str) -> bool:
        """Whether an object of this job lies there. Raises TargetNotEmpty for somebody else's."""
        try:
            found = self._call("head_object", name)
        except ObjectMissing:
            return False
        if found.get("Metadata", {}).get(_JOB) != self._job:
            raise TargetNotEmpty(
                f"{self._url} holds {name} already",
                hint="Give another filePrefix (--prefix) or place: nothing is written over.",
            )
        return True

    def try_write(self, name: str) -> None:
        """Whether an object could be written, without one: what is begun is given up at once.

        Raises StoreDenied, TargetRefused where there is no bucket, StoreUnavailable.
        """
        begun = self._call("create_multipart_upload", name)
        with suppress(StoreError):
            self._call("abort_multipart_upload", name, UploadId=begun["UploadId"])

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """An object, there when the context ends well. Raises ObjectExists, StoreError."""
        parts: list[dict[str, Any]] = []
        upload_id = ""

        def send(number: int, part: bytearray) -> None:
            nonlocal upload_id
            if not upload_id:
                asked = self._call("create_multipart_upload", name, Metadata={_JOB: self._job})
                upload_id = asked["UploadId"]
            told = self._call(
                "upload_part", name, UploadId=upload_id, PartNumber=number + 1, Body=part
            )
            parts.append({"PartNumber": number + 1, "ETag": told["ETag"]})

        upload = PartsUpload(send)
        try:
            yield upload.write
            if not parts:
                self._call(
                    "put_object",
                    name,
                    Body=upload.last(),
                    Metadata={_JOB: self._job},
                    IfNoneMatch="*",
                )
                return
            upload.end()
            self._call(
                "complete_multipart_upload",
                name,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                IfNoneMatch="*",
            )
        except BaseException:
            if upload_id:
                # What is left of it is no object, and goes by the bucket's own rules.
                with suppress(StoreError):
                    self._call("abort_multipart_upload", name, UploadId=upload_id)
            raise

    def read(self, name: str) -> Iterator[bytes]:
        """The object. Raises ObjectMissing, StoreError."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see _client

        body = self._call("get_object", name)["Body"]
        try:
            yield from body.iter_chunks(PIECE)
        except (BotoCoreError, OSError) as error:
            raise _unreachable(self._url, type(error).__name__) from error
        finally:
            body.close()

    def _call(self, verb: str, name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see _client

        self._held.check()
        try:
            told: dict[str, Any] = getattr(self._client, verb)(
                Bucket=self._bucket, Key=self._prefix + name, **more
            )
        except ClientError as error:
            _raise(error, self._url, name)
        except BotoCoreError as error:
            kind = type(error).__name__
            if "Credential" in kind:
                raise StoreDenied(
                    "the agent has no credentials for S3",
                    hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the agent runs.",
                ) from error
            raise _unreachable(self._url, kind) from error
        return told


def _client(endpoint: str, tries: int) -> Any:  # noqa: ANN401 - botocore makes its classes as it runs
    """Imported here: it takes 40 MB and half a second, and most agents never need it."""
    import botocore.session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    session = botocore.session.Session()
    region = session.get_config_variable("region") or _ANY_REGION
    config = Config(
        region_name=region,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_SILENCE_SECONDS,
        retries={"mode": "standard", "total_max_attempts": tries},
        s3={"addressing_style": "path"} if endpoint else {},
    )
    return session.create_client("s3", endpoint_url=endpoint or None, config=config)


def _raise(error: Any, url: str, name: str) -> NoReturn:  # noqa: ANN401 - see _client
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in {"NoSuchBucket", "InvalidBucketName"}:
        raise TargetRefused(
            f"there is no bucket {url}", hint="Make it, or name one that is there."
        ) from error
    if status == 404:
        raise ObjectMissing(f"{url} holds no {name}") from error
    if code in _TAKEN or status == 412:
        raise ObjectExists(f"{url} holds {name} already") from error
    if status in {401, 403}:
        raise StoreDenied(
            f"{url} refuses the agent's credentials ({code or status}) for {name}",
            hint="They need s3:PutObject, s3:GetObject and, to tell that a name is free, "
            "s3:ListBucket.",
        ) from error
    if status >= 500 or status in {408, 429}:
        raise _unreachable(url, f"it answers {status} {code}") from error
    raise TargetRefused(
        f"{url} refuses {name}: {status} {code}",
        hint="See that it is a bucket that takes objects.",
    ) from error


def _unreachable(url: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{url} cannot be reached: {why}", hint="See that the agent's host can reach it."
    )
