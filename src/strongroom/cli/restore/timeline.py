"""Find the second: how the log of a server is kept, and what was committed when."""

from typing import Annotated, Any

from cyclopts import Parameter
from whenever import Instant

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.restore.moment_option import iso_time
from strongroom.model.errors import Invalid
from strongroom.model.postgres import Lsn, lsn_to_text

_WIDEST_BAR = 40


def timeline(
    name: str,
    /,
    *,
    around: Annotated[str, Parameter(help="A time: what was committed about then.")] = "",
    minutes: Annotated[int, Parameter(help="On either side of --around.")] = 30,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Show between which times any second can be restored, and what went when.

    With --around: the commits of each minute, rows that were deleted and tables that were dropped
    or truncated, each with the last moment before it, as `restore --at` takes it.

    ```
    strongroom timeline orders
    strongroom timeline orders --around "2026-11-26 21:04"
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    if minutes < 1:
        raise Invalid(f"--minutes {minutes} shows no time", hint="Give 1 or more.")
    asked: dict[str, Any] = {"seconds": 60 * minutes}
    if around:
        asked["around"] = iso_time(around)
    with vaults.opened(common, means) as vault:
        vault.need_instance(name)
        found = vault.rest.post(f"{vault.instance(name)}/findSecond", asked)
    if common.output == "json":
        console.as_json(found)
        return
    show(name, found, asked.get("around", ""), minutes)


def show(name: str, found: dict[str, Any], around: str, minutes: int) -> None:
    """What was found, for people; `around`: as the API took it, empty where none was asked."""
    stream = found["stream"]
    if stream["state"] == "Off":
        console.say(f"the log of {name} is not kept: recovery points alone can be restored")
        console.say(f"next: strongroom server set {name} --keep-every-second 7d")
        return
    if stream["state"] == "Starting":
        console.say(f"the log of {name} is asked for, and its agent has sent none yet")
        console.say("look again in some seconds; if it stays so: strongroom doctor")
        return
    archived = stream["slot"] == "Archive" and stream["state"] == "Streaming"
    how = "archived by the server" if archived else stream["state"].lower()
    console.say(f"the log of {name} is {how}")
    console.facts(
        {
            "behind": f"{stream['lagSeconds']:.0f} s",
            "on timeline": str(stream["timeline"]),
            "stored": console.size(stream["storedBytes"]),
            **({"why": stream["why"]} if stream["why"] else {}),
        }
    )
    if not found["ranges"]:
        console.say("  no second can be restored yet: a point that leads to this log is to come")
    for start, end in found["ranges"]:
        first, last = _whole_second(start), short_time(end)
        if first > last:
            console.say(f"  the recovery point of {last} UTC: nothing was committed since")
        else:
            console.say(f"  any second from {first} to {last} UTC")
    for gap in found["gaps"]:
        bounds = f"{_bounds(gap)} of timeline {gap['timeline']}"
        console.say(f"  a gap {bounds}, found {short_time(gap['foundAt'])} UTC: {gap['why']}")
    for each in found["names"]:
        console.say(f"  {each['at']}  restore point {each['name']}")
    if around:
        console.say(f"around {around}, {minutes} minutes before and after:")
        _show_seconds(found)


def _whole_second(start: str) -> str:
    """The first that can be restored: one that had begun before cannot."""
    at = Instant.parse_iso(start)
    return short_time(at.add(nanoseconds=999_999_999).format_iso())


def _bounds(gap: dict[str, Any]) -> str:
    start, end = (lsn_to_text(Lsn(gap[bound])) for bound in ("start", "end"))
    if not gap["end"]:
        return f"from {start} on"
    return f"at {start}" if start == end else f"from {start} to {end}"


def _show_seconds(found: dict[str, Any]) -> None:
    if not found["minutes"]:
        console.say("  nothing was committed that is kept")
    most = max((count for _, count in found["minutes"]), default=1)
    for at, count in found["minutes"]:
        bar = "#" * max(1, round(_WIDEST_BAR * count / most))
        console.say(f"  {short_time(at)} UTC  {count:>8} commits  {bar}")
    for loss in found["losses"]:
        rows = f"{loss['deleted']:,} rows of {loss['table']}"
        what = f"{rows} deleted" if loss["deleted"] else f"{loss['table']} dropped or rewritten"
        console.say(f"  {loss['at']}  {what}")
        console.say(f"    the moment before: --at {loss['before']}")
