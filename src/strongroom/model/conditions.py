"""What a writer says of a resource as they last saw it. Source: RFC 9110, 13.1; ARM's ETags."""

import msgspec

from strongroom.model.errors import Changed


def etag_of(version: int) -> str:
    """The ETag of a resource that counts its changes."""
    return f'W/"{version}"'


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """The headers If-Match and If-None-Match; "" when they were not sent."""

    if_match: str = ""
    if_none_match: str = ""

    def check(self, version: int | None) -> None:
        """Raises Changed when they do not hold. `version` is None when there is no resource."""
        if self.if_match and not _names(self.if_match, version):
            raise _changed("is not, or no longer, as If-Match says")
        if self.if_none_match and _names(self.if_none_match, version):
            raise _changed("is there already, and If-None-Match forbids that")


def _names(header: str, version: int | None) -> bool:
    """Weakly compared, as ARM does: its ETags are weak, and they decide writes all the same."""
    if version is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or etag_of(version).removeprefix("W/") in tags


def _changed(fact: str) -> Changed:
    return Changed(
        f"the resource {fact}",
        hint="read it again, and repeat the request with its eTag",
        code="PreconditionFailed",
    )
