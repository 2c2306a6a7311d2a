"""JSON in the durable engine's tables, never pickle: whoever writes the database runs no code.

A value is its JSON; an error is an object with the one key `error`, which no value can pass for:
a value that is such an object itself is wrapped first. So nothing that an agent or a client sends
can come out as an exception.
"""

import json
from typing import Any, TypeVar, cast

from dbos import Serializer
from dbos import error as dbos_error

from strongroom.model.errors import Failed, VaultError, from_dict

T = TypeVar("T")

_ERROR = "__error__"
_VALUE = "__value__"


class Bug(Exception):
    """A failure that is not one of ours, as it was told by its own words."""

    def as_failed(self) -> VaultError:
        """The form in which it leaves this room."""
        return Failed(str(self), hint="this is a fault of strongroom: see the log of `serve`")


class JsonSerializer(Serializer):
    """Values as JSON; our errors by their own form, all others by type and words."""

    def name(self) -> str:
        """The name that stands beside each value in the database."""
        return "strongroom_json"

    def serialize(self, data: Any) -> str:  # noqa: ANN401
        """A JSON value or an exception -> text. Raises TypeError for anything else."""
        if isinstance(data, BaseException):
            return json.dumps({_ERROR: _tell(data)}, default=str)
        if isinstance(data, dict) and (_ERROR in data or _VALUE in data):
            data = {_VALUE: data}
        return _dumps(data)

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ANN401
        """Text -> a JSON value or an exception."""
        found = json.loads(serialized_data)
        if isinstance(found, dict):
            if _VALUE in found:
                return found[_VALUE]
            if _ERROR in found:
                return _understand(found[_ERROR])
        return found


def as_json(value: T) -> T:
    """What a replay will read: a tuple is a list from the start, not only after a crash."""
    return cast("T", json.loads(_dumps(value)))


def _dumps(value: object) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a durable value must be JSON: {error}") from error


def _tell(error: BaseException) -> dict[str, Any]:
    if isinstance(error, dbos_error.DBOSMaxStepRetriesExceeded):
        error = error.errors[-1]  # what the step itself said: a replay must raise the same
    if isinstance(error, VaultError):
        return error.to_dict()
    return {"type": type(error).__name__, "text": str(error)}


def _understand(told: dict[str, Any]) -> Exception:
    if "kind" in told:
        return from_dict(told)
    return Bug(f"{told.get('type')}: {told.get('text')}")
