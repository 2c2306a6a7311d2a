"""Numbers and times as people read them. GB = 10^9; times in the reader's zone, 24 hours."""

from whenever import Instant, TimeZoneNotFoundError

from strongroom.model.sizes import told_size
from strongroom.model.work.job import SubTask

_THIN = "\u202f"
_KINDS = {
    "backupvaults": "vault",
    "backupinstances": "instance",
    "backuppolicies": "policy",
    "flexibleservers": "server",
    "resourceguards": "guard",
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def zone_or_utc(name: str) -> str:
    """A zone that we know, else UTC."""
    try:
        Instant.from_timestamp(0).to_tz(name)
    except (TimeZoneNotFoundError, ValueError):
        return "UTC"
    return name


def size(count: float | None) -> str:
    """1.22 TB: three digits that count."""
    return "not known" if count is None else told_size(count)


def number(count: int) -> str:
    """2 341, with a thin space."""
    return f"{count:,}".replace(",", _THIN)


def money(amount: float) -> str:
    """1 939, or 6.64 where it is little: as much as says something."""
    return f"{amount:,.0f}".replace(",", _THIN) if abs(amount) >= 100 else f"{amount:.2f}"


def change(amount: float) -> str:
    """+5.00 or -113 of money, with a true minus; "nothing" where that is what it is."""
    if abs(amount) < 0.005:
        return "nothing"
    return ("+" if amount > 0 else "\u2212") + money(abs(amount))


def span(seconds: float) -> str:
    """3 days 4 hours: two units at most."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    if rest < 60:
        return _many(rest, "second")
    for length, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count, rest = divmod(rest, length)
        if count and len(parts) < 2:
            parts.append(_many(count, word))
        elif parts:
            break
    return " ".join(parts)


def lasted(step: SubTask) -> str:
    """How long a step took that has begun and ended: tenths where it was short."""
    began, ended = Instant.parse_iso(step.started_at), Instant.parse_iso(step.ended_at)
    seconds = (ended - began).total("seconds")
    return f"{seconds:.1f} seconds" if seconds < 10 else span(seconds)


def kept(days: int) -> str:
    """10 years, 13 months, 8 weeks, 14 days: in the largest unit of which there are two."""
    for length, word in ((365.25, "year"), (30.44, "month"), (7.0, "week")):
        if days >= 2 * length - 1 and (word != "week" or days % 7 == 0):
            return _many(round(days / length), word)
    return _many(days, "day")


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def many(count: int, word: str, words: str = "") -> str:
    """1 point, 2 points; 1 index, 2 indexes, where it is no `s` alone that makes them many."""
    return f"{number(count)} {word if count == 1 else words or word + 's'}"


def day(moment: Instant | None, zone: str) -> str:
    """22 Nov 2026."""
    if moment is None:
        return "never"
    local = moment.to_tz(zone)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"


def year(moment: Instant, zone: str) -> str:
    """2026."""
    return str(moment.to_tz(zone).year)


def month(text: str) -> str:
    """Nov 2026, of 2026-11."""
    of, _, number = text.partition("-")
    return f"{_MONTHS[int(number) - 1]} {of}"


def clock(moment: Instant | None, zone: str) -> str:
    """14:05."""
    if moment is None:
        return ""
    local = moment.to_tz(zone)
    return f"{local.hour:02}:{local.minute:02}"


def moment(at: Instant | str | None, zone: str) -> str:
    """22 Nov 2026, 14:05. Texts are ISO 8601."""
    at = Instant.parse_iso(at) if isinstance(at, str) else at
    return "never" if at is None else f"{day(at, zone)}, {clock(at, zone)}"


def to_the_second(at: Instant | str, zone: str) -> str:
    """22 Nov 2026, 14:05:00. Texts are ISO 8601."""
    at = Instant.parse_iso(at) if isinstance(at, str) else at
    return f"{moment(at, zone)}:{at.to_tz(zone).second:02}"


def second(at: Instant | str, zone: str) -> str:
    """2026-11-22 14:05:00: as a field takes it. Texts are ISO 8601."""
    local = (Instant.parse_iso(at) if isinstance(at, str) else at).to_tz(zone)
    return f"{local.date().format_iso()} {local.hour:02}:{local.minute:02}:{local.second:02}"


def sentence(text: str) -> str:
    """With a capital letter and an end, as part of a text. `wal_level` and pg1 stay so."""
    found = text.strip()
    if not found:
        return ""
    ended = found if found[-1] in ".!?:" else f"{found}."
    plain = ended.split()[0].rstrip(".!?:,;'").isalpha()
    return ended[:1].upper() + ended[1:] if plain else ended


def version(server_version_num: int) -> str:
    """16.10 of 160010; empty when it is not known."""
    if not server_version_num:
        return ""
    return f"{server_version_num // 10000}.{server_version_num % 10000}"


def where(scope: str) -> str:
    """A scope in words: everything; group dba; vault v1 in dba; instance a of v1 in dba."""
    parts = scope.strip("/").split("/")
    if len(parts) < 4:
        return "everything"
    named = [
        f"{_KINDS.get(kind.lower(), kind)} {name}"
        for kind, name in zip(parts[6::2], parts[7::2], strict=False)
    ]
    return " of ".join(reversed(named)) + f" in {parts[3]}" if named else f"group {parts[3]}"
