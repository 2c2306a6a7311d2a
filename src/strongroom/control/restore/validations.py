"""Could a restore begin now? What is asked is examined, and the place of its files looked into.

A container, a bucket or a directory is looked into by the agent that would fill it, with what it
would be opened with; one of our own without a signature by ourselves. Where no agent answers,
being busy or away, what could be examined is the answer. The signature is kept by this process
alone, and not for longer than somebody waits.
"""

from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.work import agent_operations
from strongroom.control.basis import long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.restore import plans, restores
from strongroom.control.work.own_storage import check_free
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.errors import (
    Precondition,
    StoreError,
    TargetError,
    TargetNotEmpty,
    TargetRefused,
    VaultError,
    from_dict,
)
from strongroom.model.identities.access import Caller
from strongroom.model.ids import AgentId, OperationId, uuid4
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.restore.dump_names import names_of_all, names_of_part
from strongroom.model.restore.restore_request import RestoreRequest
from strongroom.model.work.plan import FilesLook, LookOrder, LookResult, PlaceFacts

NOT_ACCESSIBLE = "UserErrorContainerNotAccessible"
_MOST_NAMES = 50  # each is asked for by itself


class Validation(msgspec.Struct, kw_only=True):
    """One that is under way. `known`: answered before; `look`: what the agent was asked.

    of_files: they are left in a container or a bucket.
    """

    scope: str
    action: str
    request_key: str
    known: OperationId | None = None
    look: str = ""
    own: FilesLook | None = None
    of_files: bool = False


def begin_validation(
    control: Control,
    caller: Caller,
    asking: tuple[VaultRef, str],
    request: tuple[dict[str, Any], str, str],
    *,
    second: Collection[str] | None = None,
) -> Validation:
    """As `restores.begin_restore` is asked. Raises what stands in its way."""
    what, key, action = request
    scope = instance_id_of(control.installation.subscription_id, *asking)
    made = Validation(scope=scope, action=action, request_key=key)
    with control.database.writing() as connection:
        made.known = long_running.find_by_request(connection, key)
        if made.known is not None:
            return made
        require(control, connection, caller, action, scope)
        found, point, asked = restores.examine(control, connection, caller, asking, what)
        if second is not None:
            restores.check_second(point, second)
        files, places = _files_of(point, asked), _places_of(found, point, asked)
        made.of_files = files is not None
        if files is not None and asked.signature is None and not files.url.startswith("s3:"):
            made.own = files
        elif (files or places) and plans.is_heard(control, connection, found):
            made.look = str(uuid4(control.chance))
            if files is not None and asked.signature is not None:
                control.looks[made.look] = asked.signature.query
            order = LookOrder(places=places, files=files)
            told = {**msgspec.to_builtins(order), "instanceId": found.instance_id}
            plans.offer_look(control, connection, made.look, found.agent_id, told)
    control.offered.ring(AgentId(found.agent_id))
    return made


def _places_of(found: Protection, point: RecoveryPoint, asked: RestoreRequest) -> list[str]:
    """Directories that must not be there yet, or be empty."""
    if not asked.target_directory or asked.in_place:
        return []
    return plans.places_of(plans.Question(found=found, point=point, asked=asked)) or []


def _files_of(point: RecoveryPoint, asked: RestoreRequest) -> FilesLook | None:
    """The names that it would give where its files are left; None where that is no container."""
    part = asked.part
    if part is None or not part.target_url or asked.target_directory:
        return None
    if part.database:
        names = names_of_part(part.file_prefix, part.rename or part.database, part.table)
    else:
        names = names_of_all(part.file_prefix, sorted(point.facts.get("databases") or {}))
    return FilesLook(url=part.target_url, endpoint=part.target_endpoint, names=names[:_MOST_NAMES])


def finish_validation(control: Control, caller: Caller, made: Validation) -> OperationId:
    """The operation that holds the answer. Raises what the agent met."""
    if made.known is not None:
        return made.known
    refused = _seen(control, made)
    if refused is not None:
        raise _as_told(refused) if made.of_files else refused

    def is_possible(connection: sa.Connection) -> dict[str, Any]:
        del connection
        return {"jobId": None}

    asked = made.action, made.scope, made.request_key
    return long_running.act_once(control, caller, *asked, is_possible)


def _seen(control: Control, made: Validation) -> VaultError | None:
    """What it would run into; the agent is asked no more."""
    if made.own is not None:
        return check_free(control, made.own)
    if not made.look:
        return None
    control.looks.pop(made.look, None)
    with control.database.writing() as connection:
        row = agent_operations.get(connection, made.look)
        agent_operations.end(connection, made.look, "cancelled")
    if row is None:
        return None
    if row["status"] == "completed":
        told = msgspec.convert(row["result"], LookResult)
        if told.files is not None:
            return from_dict(told.files)
        return next(filter(None, map(_in_the_way, told.places)), None)
    error = from_dict(row["error"]) if row["error"] else None
    return error if isinstance(error, TargetError) else None


def _in_the_way(place: PlaceFacts) -> VaultError | None:
    if place.refused is not None:
        return from_dict(place.refused)
    hint = "Restore into a new directory, or empty this one first."
    if place.state == "filled":
        return TargetNotEmpty(f"{place.path} is not empty: it holds {place.holds}", hint=hint)
    if place.state == "other":
        return TargetRefused(f"{place.path} is no directory", hint=hint)
    return None


def _as_told(error: VaultError) -> VaultError:
    if isinstance(error, TargetNotEmpty) or not isinstance(error, StoreError | TargetError):
        return error
    return Precondition(error.message, hint=error.hint, code=NOT_ACCESSIBLE)
