"""One HTTP request as the verbs see it: names checked, query and headers decoded once.

Whatever could be read in two ways is refused: a query name or an important header given twice,
a path that means another path after decoding, an account that is not ours.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from strongroom.model.errors import Invalid, ObjectMissing
from strongroom.storage.basis.names import checked_blob, checked_container, decoded

MAX_HEADER_BYTES = 32 * 1024
MAX_TARGET_BYTES = 16 * 1024
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`container` and `name` are None above their level. `raw_path` is as it was sent (signed)."""

    id: str
    method: str
    raw_path: str
    container: str | None
    name: str | None
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secure: bool
    client: str
    receive: Receive = field(repr=False)

    @property
    def level(self) -> str:
        """account, container or blob."""
        if self.container is None:
            return "account"
        return "container" if self.name is None else "blob"

    def whole(self, header: str) -> int | None:
        """A header that is a whole number, or None. Raises Invalid for anything else."""
        text = self.headers.get(header)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 19):
            raise Invalid(f"the header {header} is not a whole number", code="InvalidHeaderValue")
        return int(text)


def read_request(
    scope: Mapping[str, Any], receive: Receive, *, request_id: str, account: str
) -> Request:
    """Raises Invalid or ObjectMissing for a request that nobody could mean well."""
    raw_path = bytes(scope["raw_path"])
    raw_query = bytes(scope["query_string"])
    if len(raw_path) + len(raw_query) > MAX_TARGET_BYTES:
        raise Invalid("the address is too long", code="InvalidUri")
    container, name = _split(_ascii(raw_path), account)
    client = scope.get("client") or ("", 0)
    return Request(
        id=request_id,
        method=scope["method"],
        raw_path=_ascii(raw_path),
        container=container,
        name=name,
        query=_query(raw_query),
        headers=read_headers(scope["headers"]),
        secure=scope.get("scheme") == "https",
        client=str(client[0]),
        receive=receive,
    )


def read_headers(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case. Raises Invalid for too many bytes, or a header that is given twice."""
    if sum(len(name) + len(value) for name, value in pairs) > MAX_HEADER_BYTES:
        raise Invalid("the headers are too large", code="RequestHeaderFieldsTooLarge")
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        if name in headers:
            raise Invalid(f"the header {name} is given twice", code="InvalidHeaderValue")
        headers[name] = value
    return headers


def _split(path: str, account: str) -> tuple[str | None, str | None]:
    first, _, rest = path.removeprefix("/").partition("/")
    if not path.startswith("/") or first != account:
        raise ObjectMissing("no such account", code="ResourceNotFound")
    container, slash, name = rest.partition("/")
    if not container:
        if slash:
            raise Invalid("the container's name is empty", code="InvalidResourceName")
        return None, None
    checked_container(container)
    if not slash:
        return container, None
    return container, checked_blob(decoded(name))


def _query(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            _ascii(raw), keep_blank_values=True, errors="strict", max_num_fields=64, separator="&"
        )
    except ValueError as error:
        raise Invalid("the query cannot be read", code="InvalidUri") from error
    query: dict[str, str] = {}
    for name, value in pairs:
        if name.lower() in query:
            raise Invalid("a query parameter is given twice", code="InvalidQueryParameterValue")
        query[name.lower()] = value
    return query


def _ascii(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise Invalid("the address is not percent-encoded", code="InvalidUri") from error
