"""What would change the cost of the years ahead: a policy that keeps a little less."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from strongroom.control.basis.control import Control
from strongroom.control.overview.outlook import YEARS, Outlook, PolicyAhead, start_of
from strongroom.control.protection import previews
from strongroom.model.errors import VaultError
from strongroom.model.identities.access import Caller
from strongroom.model.protection.simple_policy import EVERY, SimplePolicy, simple_of_policy

_MOST_POLICIES = 3  # of those that cost most; each is looked ten years ahead once more a change
_MOST_FIRES = 20_000
_UNITS = ("years", "months", "weeks")


@dataclass(frozen=True, slots=True)
class Saving:
    """One field of a policy, as it is and might be; `change`: a month, in one year and in ten."""

    policy: PolicyAhead
    field: str
    before: str
    after: str
    change: tuple[float, float]


def savings_of(control: Control, caller: Caller, found: Outlook) -> list[Saving]:
    """Those that change anything, what saves most in the last year first; nothing is changed."""
    dearest = sorted(found.policies, key=lambda each: -each.cost.prices[-1])
    made = [
        saving
        for policy in dearest[:_MOST_POLICIES]
        if len(policy.ahead.fires) <= _MOST_FIRES
        for saving in _savings(control, caller, policy)
    ]
    told = [each for each in made if any(abs(price) >= 0.005 for price in each.change)]
    return sorted(told, key=lambda each: each.change[-1])


def _savings(control: Control, caller: Caller, policy: PolicyAhead) -> Iterator[Saving]:
    simple = simple_of_policy(policy.ahead.policy)
    if simple is None:
        return
    for field, other in _others(simple):
        try:
            ahead = previews.preview_policy(
                control,
                caller,
                policy.vault,
                policy.name,
                properties=other.to_properties(),
                start=start_of(control),
                years=YEARS,
            )
        except VaultError:  # no policy of ours: this one is not offered
            continue
        years = list(ahead.anniversaries())
        first, last = policy.measures.layers_at(ahead, [years[0], years[-1]], 1.0)
        prices = policy.cost.prices
        change = first.total - prices[0], last.total - prices[-1]
        yield Saving(
            policy, field, str(getattr(simple, field)), str(getattr(other, field)), change
        )


def _others(simple: SimplePolicy) -> Iterator[tuple[str, SimplePolicy]]:
    """A year less of yearly points, half of the others, and a schedule one step wider."""
    for field in _UNITS:
        count = getattr(simple, field)
        less = count - 1 if field == "years" else count // 2
        if less >= 1:
            yield field, msgspec.structs.replace(simple, **{field: less})
    steps = list(EVERY)
    wider = steps.index(simple.every) + 1
    if wider < len(steps):
        yield "every", msgspec.structs.replace(simple, every=steps[wider])
