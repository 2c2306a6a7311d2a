"""Which tag a point gets, why, and when it ends."""

from whenever import Instant

from strongroom.model.points.retention import Verdict, expiry, tag_for, tag_of_end
from strongroom.model.protection.policy import Duration, parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy

POLICY = parse_policy(ten_years_policy())


def nightly(start: str, nights: int) -> list[tuple[Instant, Verdict]]:
    taken: list[tuple[Instant, Verdict]] = []
    for night in range(nights):
        moment = Instant.parse_iso(start).add(hours=24 * night)
        earlier = [(time, verdict.tag) for time, verdict in taken]
        taken.append((moment, tag_for(POLICY, "BackupDaily", moment, earlier)))
    return taken


def test_the_first_point_of_a_year_is_the_months_and_the_weeks_too() -> None:
    taken = nightly("2026-01-01T02:00:00Z", 40)
    by_day = {time.format_iso()[:10]: verdict.tag for time, verdict in taken}
    assert by_day["2026-01-01"] == "Yearly"
    assert by_day["2026-01-02"] == "Default"
    assert by_day["2026-01-04"] == "Weekly"  # a Sunday
    assert by_day["2026-02-01"] == "Monthly"
    assert by_day["2026-02-02"] == "Default"


def test_an_on_demand_point_of_the_default_tag_uses_nothing_up() -> None:
    noon = Instant.parse_iso("2026-02-01T00:30:00Z")
    earlier = [(noon, "Default"), (Instant.parse_iso("2026-01-01T02:00:00Z"), "Yearly")]
    verdict = tag_for(POLICY, "BackupDaily", Instant.parse_iso("2026-02-01T02:00:00Z"), earlier)
    assert verdict.tag == "Monthly"


def test_a_tag_that_was_asked_for_wins_and_says_so() -> None:
    moment = Instant.parse_iso("2026-05-05T10:00:00Z")
    verdict = tag_for(POLICY, "BackupDaily", moment, [], "yearly")
    assert verdict.tag == "Yearly"
    assert "asked for" in verdict.reason


def test_expiry_is_calendar_arithmetic() -> None:
    leap_day = Instant.parse_iso("2028-02-29T02:00:00Z").to_tz("UTC")
    assert expiry(leap_day, Duration(years=1)).format_iso() == "2029-02-28T02:00:00Z"
    assert expiry(leap_day, Duration(years=10)).format_iso() == "2038-02-28T02:00:00Z"
    end = Instant.parse_iso("2026-01-31T02:00:00Z").to_tz("UTC")
    assert expiry(end, Duration(months=1)).format_iso() == "2026-02-28T02:00:00Z"


def test_an_added_point_never_shortens_another_ones_life() -> None:
    alone = nightly("2026-01-01T02:00:00Z", 1)[0][1]
    among = nightly("2026-01-01T02:00:00Z", 30)[0][1]
    assert among == alone


def test_a_point_that_waited_for_its_window_is_tagged_by_the_day_on_which_it_was_due() -> None:
    body = ten_years_policy()
    criterion = body["policyRules"][0]["trigger"]["taggingCriteria"][2]
    assert criterion["tagInfo"]["tagName"] == "Weekly"
    criterion["criteria"] = [{"daysOfTheWeek": ["Sunday"]}]
    body["policyRules"][0]["trigger"]["taggingCriteria"] = [criterion]
    policy = parse_policy(body)
    sunday, monday = (Instant.parse_iso(f"2026-02-0{n}T12:00:00Z") for n in (1, 2))
    assert tag_for(policy, "BackupDaily", monday, []).tag == "Default"
    kept = tag_for(policy, "BackupDaily", monday, [], due_at=sunday)
    assert kept.tag == "Weekly"
    assert kept.expires_at == monday.add(hours=8 * 7 * 24)


def test_the_end_of_a_promoted_point_tells_its_tag_where_one_alone_is_kept_so_long() -> None:
    taken = Instant.parse_iso("2026-01-31T02:00:00.25Z")
    monthly = Instant.parse_iso("2027-02-28T02:00:01Z")  # as a lock says it: whole seconds
    assert tag_of_end(POLICY, taken, monthly, "Default") == "Monthly"
    assert tag_of_end(POLICY, taken, monthly.add(seconds=5), "Default") == "Default"
    assert tag_of_end(POLICY, taken, taken.add(hours=24 * 14), "Default") == "Default"
    assert tag_of_end(POLICY, taken, monthly, "Weekly") == "Weekly"
    text = ten_years_policy()
    for rule in text["policyRules"]:
        if rule["name"] == "Yearly":
            rule["lifecycles"][0]["deleteAfter"]["duration"] = "P13M"
    assert tag_of_end(parse_policy(text), taken, monthly, "Default") == "Default"
