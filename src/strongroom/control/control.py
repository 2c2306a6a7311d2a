"""What every use case needs, in one hand; `app.py` fills it."""

from collections.abc import Callable
from dataclasses import dataclass

from strongroom.catalog.database import Database
from strongroom.durable.engine import JobEngine
from strongroom.model.installation import Installation
from strongroom.model.seams import Chance, Clock


@dataclass(frozen=True, slots=True)
class Control:
    """The control plane's means. A use case is a function `verb_noun(control, caller, ...)`.

    `release_keys(operation id, session public key)` opens the content keys that a restore's plan
    needs and seals them to the agent's session; it is handed in because deciding and opening are
    two rooms (`workflows/keys.py` opens).
    """

    database: Database
    jobs: JobEngine
    clock: Clock
    chance: Chance
    installation: Installation
    release_keys: Callable[[str, bytes], bytes]
