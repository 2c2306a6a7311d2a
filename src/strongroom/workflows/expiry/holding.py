"""Legal holds at the storage endpoint: what the catalogue holds, its own book holds too.

The row comes first and goes last, so in between more is held than must be, never less.
"""

import structlog

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import holds
from strongroom.control.basis import long_running
from strongroom.datastore.maps.manifest import FORMAT_NAME
from strongroom.durable.engine import Story
from strongroom.model.errors import VaultError
from strongroom.model.ids import InstanceId
from strongroom.model.points.hold import HELD, RELEASING, SETTING
from strongroom.workflows.basis.means import Means

# All that an instance has and will have: its points, their packs, the keys that open them.
_WHOLE = (FORMAT_NAME, "g/", "k/", "p/")

log = structlog.get_logger()


def set_hold(means: Means, story: Story, hold_id: str, operation_id: str) -> None:
    """The durable story behind PUT of a hold. One that storage refuses is taken back."""
    try:
        story.step("hold", _hold, means, hold_id)
        story.step("finish", _finish, means, hold_id, operation_id)
    except VaultError as error:
        story.step("fail", _take_back, means, hold_id, operation_id, error.to_dict())


def release_hold(means: Means, story: Story, hold_id: str, operation_id: str) -> None:
    """The durable story behind DELETE of a hold. While storage keeps it, it holds."""
    try:
        story.step("release", _release, means, hold_id)
        story.step("finish", _finish, means, hold_id, operation_id)
    except VaultError as error:
        story.step("fail", _take_back, means, hold_id, operation_id, error.to_dict())


def settle_holds(means: Means, instance_id: InstanceId) -> None:
    """Finish what could not be released when it was asked for. Safe twice."""
    with means.control.database.reading() as connection:
        rows = holds.list_of_instance(connection, instance_id)
    for row in rows:
        if row["state"] == RELEASING:
            _release(means, row["id"])


def _hold(means: Means, hold_id: str) -> None:
    with means.control.database.reading() as connection:
        row = holds.get(connection, hold_id)
    if row is None:
        return
    names = _names(means, row["instance_id"], row["point_id"])
    with means.control.database.writing() as connection:
        holds.change(connection, hold_id, names=names)
    view = means.storage.account_view(row["instance_id"])
    for name in names:
        view.hold(name, hold_id)


def _names(means: Means, instance_id: str, point: str | None) -> list[str]:
    """Of a point: what its receipt names, a generation at a time, as its lock does."""
    if point is None:
        return list(_WHOLE)
    raw = means.storage.container(instance_id).read(f"p/{point}.receipt")
    receipt = means.keyring.signing.public.check(raw)
    generations = sorted({pack.name.rpartition("/")[0] for pack in receipt.packs})
    packs = [f"{generation}/" for generation in generations]
    return [FORMAT_NAME, "k/", *packs, f"p/{point}.manifest", f"p/{point}.receipt"]


def _finish(means: Means, hold_id: str, operation_id: str) -> None:
    control = means.control
    with control.database.writing() as connection:
        row = holds.get(connection, hold_id)
        if row is not None and row["state"] == SETTING:
            holds.change(connection, hold_id, state=HELD)
        long_running.end_operation(connection, operation_id, control.clock.now(), result={})


def _take_back(means: Means, hold_id: str, operation_id: str, error: dict[str, object]) -> None:
    """It is on its way out from here on; `settle_holds` goes on with it."""
    control = means.control
    with control.database.writing() as connection:
        holds.change(connection, hold_id, state=RELEASING)
        long_running.end_operation(connection, operation_id, control.clock.now(), error=error)


def _release(means: Means, hold_id: str) -> None:
    control = means.control
    with control.database.reading() as connection:
        row = holds.get(connection, hold_id)
    if row is None:
        return
    view = means.storage.account_view(row["instance_id"])
    for name in row["names"]:
        view.lift_hold(name, hold_id)
    with control.database.writing() as connection:
        if holds.get(connection, hold_id) is None:
            return
        holds.remove(connection, hold_id)
        told = {"hold": row["name"], "point": row["point_id"]}
        what = ("hold/released", row["instance_id"])
        audit.append(connection, control.clock.now(), "service", what, told)
    log.info("hold.released", instance=row["instance_id"], hold=row["name"])
