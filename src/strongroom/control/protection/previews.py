"""What a policy would keep in the years to come: of one that is there, or of one that might be."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from whenever import Instant

from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.protection.policies import READ, need_policy
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.points.preview import Preview, preview
from strongroom.model.protection.policy import parse_policy


def preview_policy(  # noqa: PLR0913 - a wish each, by name
    control: Control,
    caller: Caller,
    vault: VaultRef,
    name: str,
    *,
    properties: Mapping[str, Any] | None,
    start: Instant | None,
    years: int,
) -> Preview:
    """With `properties` of those, whether or not there is such a policy; changes nothing.

    `start`: from when on, now if it is not said.
    """
    arm.check_name("policy", name)
    with control.database.reading() as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ, scope)
        owner = need_vault(connection, vault)
        if properties is None:
            text = str(need_policy(connection, owner["id"], name)["properties"])
        else:
            text = json.dumps(properties)
    if start is None:
        return preview(parse_policy(text), control.clock.now(), years)
    return _looked_ahead(text, start, years)


@lru_cache(maxsize=8)  # of ten years some megabytes
def _looked_ahead(text: str, start: Instant, years: int) -> Preview:
    """From a moment that was named: asked for again it is the same."""
    return preview(parse_policy(text), start, years)
