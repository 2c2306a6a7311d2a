"""JSON in the durable engine's tables, never pickle: whoever writes the database runs no code."""

import json
from typing import Any

from dbos import Serializer

from strongroom.model.errors import VaultError, from_dict

_ERROR = "__error__"


class Bug(Exception):
    """A failure that is not one of ours, as it was told by its own words."""


class JsonSerializer(Serializer):
    """Values as JSON; our errors by their own form, all others by type and words."""

    def name(self) -> str:
        """The name that stands beside each value in the database."""
        return "strongroom_json"

    def serialize(self, data: Any) -> str:  # noqa: ANN401
        """A JSON value or an exception -> text."""
        return json.dumps(data, default=_tell, separators=(",", ":"))

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ANN401
        """Text -> a JSON value or an exception."""
        return json.loads(serialized_data, object_hook=_understand)


def _tell(value: object) -> dict[str, Any]:
    if isinstance(value, VaultError):
        return {_ERROR: value.to_dict()}
    if isinstance(value, BaseException):
        return {_ERROR: None, "type": type(value).__name__, "text": str(value)}
    raise TypeError(f"a durable value must be JSON, not {type(value).__name__}")


def _understand(told: dict[str, Any]) -> Any:  # noqa: ANN401
    if _ERROR not in told:
        return told
    if told[_ERROR] is not None:
        return from_dict(told[_ERROR])
    return Bug(f"{told.get('type')}: {told.get('text')}")
