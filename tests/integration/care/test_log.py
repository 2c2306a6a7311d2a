"""The log in the vault's care: committed by a re-read, expired by its window, collected if not."""

import json
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from care_world import CareWorld
from seams import SystemChance
from strongroom.catalog.oversight import alerts
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import instances, protection
from strongroom.catalog.tables.tables import agents, policies
from strongroom.catalog.wal import streaming, wal
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.identities.identity import create_service_principal
from strongroom.control.overview.alerts import settle_alerts
from strongroom.control.wal.wal_coverage import kept_of
from strongroom.control.wal.wal_moments import apart, begin_apart, choose
from strongroom.control.wal.wal_timeline import stream_state
from strongroom.datastore.packs.wal_pack import seal_log
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Corrupt, NotFound, ObjectMissing, Precondition
from strongroom.model.identities.access import OWNER, Caller
from strongroom.model.protection.policy_templates import with_window
from strongroom.model.wal import (
    IMMEDIATE,
    RestorePoint,
    Summary,
    WalHistory,
    WalPack,
    WalReport,
    pack_name,
)
from strongroom.model.wal_moment import LSN, NAME, TIME, XID, Moment
from strongroom.workflows.care.care import in_each
from strongroom.workflows.garbage.collect import collect
from strongroom.workflows.wal.wal_expiry import base_of_log, expire_log
from strongroom.workflows.wal.wal_keeping import keep_wal
from strongroom.workflows.wal.wal_streams import fill_gaps, settle_stream
from worlds import point_id

SIZE = 16 << 20
SYSTEM = "7000000000000000001"
BASE = 5 * SIZE


def text(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def a_window(world: CareWorld, days: int) -> None:
    with world.database.writing() as connection:
        properties = protection.by_id(connection, world.instance).properties
        told = {**properties, "strongroom": {"settings": {"operationalDays": days}}}
        instances.change(connection, world.instance, properties=told)


def a_base(
    world: CareWorld, number: int, stop: int, timeline: int = 1, system: str = SYSTEM
) -> str:
    """A physical point of the system, committed now, that ends there."""
    point = world.a_point(number, listed=True)
    facts = {"system_identifier": system, "timeline": timeline, "stop_lsn": text(stop)}
    with world.database.writing() as connection:
        recovery_points.note_facts(connection, point, facts)
    return point


def a_policy_with_a_window(world: CareWorld, days: int) -> None:
    with world.database.writing() as connection:
        text = protection.by_id(connection, world.instance).policy
        told = json.dumps(with_window(json.loads(text), days))
        connection.execute(policies.update().values(properties=told))


class Stream:
    """An agent's stream, as its reports tell of it. Commits are a second apart."""

    def __init__(self, world: CareWorld) -> None:
        self.world = world
        self.epoch = 1
        self.xid = 1000
        self.system, self.size = SYSTEM, SIZE

    def put(self, start: int, end: int, *, timeline: int = 1, name: str = "") -> WalPack:
        raw = bytes(1000)
        key = self.world.means.keyring.public(self.world.instance, "data")
        sealed = seal_log(raw, key, self.world.clock, SystemChance())
        pack = WalPack(
            name=pack_name(timeline, start, self.epoch),
            size=len(sealed),
            blake3=blake3(sealed).digest(),
            timeline=timeline,
            start=start,
            end=end,
            summary=self._summary(start, end, name),
        )
        self.world.blobs.create(pack.name, sealed)
        return pack

    def _summary(self, start: int, end: int, name: str) -> Summary:
        at = self.world.clock.now().timestamp(unit="microsecond")
        self.xid += 1
        points = [RestorePoint(name=name, lsn=end - 8, at=at)] if name else []
        return Summary(
            ended=[(self.xid, self.xid)],
            commits=1,
            first_at=at,
            last_at=at,
            last_lsn=(start + end) // 2,
            least_xid=self.xid,
            most_xid=self.xid,
            restore_points=points,
        )

    def report(self, *packs: WalPack, histories: tuple[WalHistory, ...] = ()) -> None:
        keep_wal(
            self.world.means,
            self.world.instance,
            WalReport(
                epoch=self.epoch,
                system_identifier=self.system,
                segment_size=self.size,
                packs=list(packs),
                histories=list(histories),
            ),
        )

    def goes_on(self, start: int, end: int, **more: object) -> WalPack:
        self.world.clock.advance(1)
        pack = self.put(start, end, **more)
        self.report(pack)
        return pack


@pytest.fixture
def stream(world: CareWorld) -> Stream:
    a_window(world, 7)
    return Stream(world)


def gaps(world: CareWorld) -> list[tuple[int, int, int]]:
    with world.database.reading() as connection:
        rows = wal.gaps_of(connection, world.instance)
    return [(row["timeline"], row["start_lsn"], row["end_lsn"]) for row in rows]


def chosen(world: CareWorld, kind: str, value: str, timeline: int = 0, *, before: bool = False):
    moment = Moment(kind=kind, value=value, timeline=timeline, before=before)
    with world.database.reading() as connection:
        found = protection.by_id(connection, world.instance)
        return choose(connection, found, moment)


def test_a_range_counts_once_storage_has_read_it_again(world: CareWorld, stream: Stream) -> None:
    pack = stream.put(BASE, BASE + 1000)
    wrong = msgspec.structs.replace(pack, blake3=bytes(32))
    with pytest.raises(Corrupt):
        stream.report(wrong)
    with pytest.raises(ObjectMissing):
        stream.report(
            msgspec.structs.replace(pack, name=pack_name(1, BASE + 8, 1), start=BASE + 8)
        )
    stream.report(pack)
    stream.report(pack)
    with world.database.reading() as connection:
        assert wal.stream_of(connection, world.instance)["end_lsn"] == BASE + 1000
        assert wal.all_names(connection, world.instance) == {pack.name}
    assert gaps(world) == []


def test_a_jump_is_a_gap_with_its_bounds_though_nobody_told(
    world: CareWorld, stream: Stream
) -> None:
    stream.goes_on(BASE, BASE + 1000)
    stream.goes_on(BASE + 1000, BASE + 2000)
    stream.goes_on(BASE + SIZE, BASE + SIZE + 1000)
    assert gaps(world) == [(1, BASE + 2000, BASE + SIZE)]
    assert world.audited("wal/gap") == [world.instance]


def test_moments_are_planned_from_the_nearest_point_and_no_further_than_is_kept(
    world: CareWorld, stream: Stream
) -> None:
    first = a_base(world, 1, BASE + 100)
    stream.goes_on(BASE, BASE + 1000)
    early = world.clock.now()
    stream.goes_on(BASE + 1000, BASE + 2000, name="noon")
    second = a_base(world, 2, BASE + 1500)
    stream.goes_on(BASE + 2000, BASE + 3000)
    late = world.clock.now()
    world.clock.advance(60)

    found = chosen(world, TIME, early.format_iso())
    assert (found.point.id, found.capped) == (first, False)
    assert found.recovery.timelines == [(1, BASE, BASE + 2000)]
    found = chosen(world, TIME, late.add(seconds=30).format_iso())
    assert (found.point.id, found.capped) == (second, True)
    assert (found.recovery.kind, found.recovery.value) == (LSN, text(BASE + 2500))
    assert chosen(world, NAME, "noon").point.id == second
    assert chosen(world, XID, "1002").point.id == first
    found = chosen(world, LSN, text(BASE + 1400))
    assert (found.point.id, found.recovery.timelines) == (first, [(1, BASE, BASE + 2000)])
    assert chosen(world, LSN, text(BASE + 400)).recovery.timelines == [(1, BASE, BASE + 1000)]
    with pytest.raises(NotFound):
        chosen(world, NAME, "midnight")
    with pytest.raises(NotFound):
        chosen(world, XID, "77")
    with pytest.raises(Precondition):
        chosen(world, TIME, early.subtract(hours=1).format_iso())


def test_the_last_commit_is_found_where_a_segment_lies_over_what_was_streamed_of_it(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE)
    stream.goes_on(BASE, BASE + 1000)
    stream.goes_on(BASE + 1000, BASE + 2000)
    stream.epoch = 2  # by the archive from now on
    stream.goes_on(BASE, BASE + SIZE)
    end = world.clock.now()
    world.clock.advance(60)
    found = chosen(world, TIME, world.clock.now().format_iso())
    assert end.format_iso() in found.reached
    assert found.recovery.value == text(BASE + SIZE // 2)


def test_of_two_restore_points_of_one_name_it_is_the_last_though_the_first_is_come_by(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE)
    stream.goes_on(BASE, BASE + 2000, name="noon")
    assert chosen(world, NAME, "noon").recovery.kind == NAME
    stream.goes_on(BASE + 2000, BASE + 8192 * 2 + 8, name="noon")
    found = chosen(world, NAME, "noon")
    start = BASE + 8192 * 2 - 98  # the record ends just behind a page's header
    assert (found.recovery.kind, found.recovery.value) == (LSN, text(start))
    assert "the last of 2 of that name" in found.reached
    a_base(world, 2, BASE + 3000)  # behind the first of them
    assert chosen(world, NAME, "noon").recovery.kind == NAME


def test_a_subtransaction_is_refused_by_the_plan_and_told_of_what_it_is_a_part(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE)
    for start in (BASE, BASE + 1000, BASE + 2000):
        pack = stream.put(start, start + 1000)
        xid = pack.summary.most_xid
        pack.summary.parts = [(xid + 1, xid + 3, xid)]
        pack.summary.most_xid = xid + 5
        stream.xid += 10
        stream.report(pack)
    assert chosen(world, XID, "1012").recovery.timelines == [(1, BASE, BASE + 2000)]
    with pytest.raises(NotFound, match="1014 is a subtransaction") as refused:
        chosen(world, XID, "1014")
    assert refused.value.hint.endswith("--at-xid 1012")
    with pytest.raises(NotFound, match="holds no transaction 1016"):
        chosen(world, XID, "1016")
    many = stream.put(BASE + 3000, BASE + 4000)  # too many to tell of
    many.summary.most_xid, many.summary.ended = many.summary.least_xid + 5000, []
    stream.report(many)
    assert chosen(world, XID, "1012").reached == "transaction 1012"
    assert chosen(world, XID, "1900").reached.endswith("unless it is a subtransaction")


def test_a_plan_says_that_a_transaction_may_have_ended_before_the_only_point_that_leads_to_it(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 2, BASE + 1500)
    stream.report(stream.put(BASE, BASE + 1000))
    pack = stream.put(BASE + 1000, BASE + 2000)
    stream.report(pack)
    xid = str(pack.summary.most_xid)
    doubt = "unless it had ended before the recovery point"
    assert chosen(world, XID, xid).reached == f"transaction {xid}, {doubt}"
    a_base(world, 1, BASE + 500)
    assert chosen(world, XID, xid).reached == f"transaction {xid}"


def test_what_a_transaction_that_is_open_has_deleted_is_told_to_whoever_goes_on(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE)
    pack = stream.put(BASE, BASE + 1000)
    stream.report(msgspec.structs.replace(pack, unended={77: {"5/16400": 31}}))
    with world.database.reading() as connection:
        told = wal.unended_of(wal.stream_of(connection, world.instance))
    assert told == {77: {"5/16400": 31}}


def test_just_before_the_last_commit_is_no_more_than_is_kept_and_ends_before_it(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE)
    stream.goes_on(BASE, BASE + 2000)
    last = stream.goes_on(BASE + 2000, BASE + 4000)
    at = world.clock.now().format_iso()
    assert chosen(world, TIME, at).capped
    for kind, value in ((TIME, at), (LSN, text(BASE + 3000)), (XID, str(last.summary.most_xid))):
        choice = chosen(world, kind, value, before=True)
        assert (choice.recovery.kind, choice.recovery.inclusive) == (kind, False)
        assert choice.recovery.timelines == [(1, BASE, BASE + 4000)]


def test_a_point_itself_is_recovered_onto_a_timeline_of_its_own_where_its_log_is_kept(
    world: CareWorld, stream: Stream
) -> None:
    point = a_base(world, 1, BASE + 100)

    def recovery():
        with world.database.reading() as connection:
            found = protection.by_id(connection, world.instance)
            return apart(connection, found, recovery_points.get(connection, world.instance, point))

    assert recovery() is None
    stream.goes_on(BASE, BASE + 2000)
    stream.report(histories=(WalHistory(timeline=2, text="1\t0/5000700\tpromoted\n"),))
    found = recovery()
    assert (found.kind, found.timeline, found.timelines) == (IMMEDIATE, 1, [])
    assert set(found.histories) == {"2"}


def test_no_two_restores_begin_the_same_timeline_though_nobody_has_heard_of_the_first(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE + 100)
    stream.goes_on(BASE, BASE + 2000)
    history = WalHistory(timeline=4, text="1\t0/5000700\tpromoted\n")
    stream.report(stream.put(BASE, BASE + 4000, timeline=4), histories=(history,))
    recovery = chosen(world, LSN, text(BASE + 500), timeline=1).recovery
    with world.database.writing() as connection:
        found = protection.by_id(connection, world.instance)
        begun = [begin_apart(connection, found, recovery, world.clock.now()) for _ in range(3)]
    # 5 is what a standby of timeline 4 takes that is promoted now, and its own standby takes 6.
    assert [each.begins for each in begun] == [9, 10, 11]
    stream.report(stream.put(BASE + 4000, BASE + 5000, timeline=4))  # and goes on as it was
    with world.database.writing() as connection:
        assert begin_apart(connection, found, recovery, world.clock.now()).begins == 12


def test_moments_of_a_server_before_its_upgrade_are_reached_and_none_between_the_two(
    world: CareWorld, stream: Stream
) -> None:
    old = a_base(world, 1, BASE + 100)
    stream.goes_on(BASE, BASE + 2000)
    then = world.clock.now()
    last = stream.goes_on(BASE + 2000, BASE + 4000, name="before the upgrade")
    end = world.clock.now()
    world.clock.advance(100)
    stream.system, stream.size, stream.epoch = "8", 2 * SIZE, 2
    stream.goes_on(4 * SIZE, 4 * SIZE + 1000)
    new = a_base(world, 2, 4 * SIZE + 500, system="8")
    stream.goes_on(4 * SIZE + 1000, 4 * SIZE + 2000)
    for found, recovery in (
        (chosen(world, TIME, then.format_iso()), (TIME, SYSTEM, SIZE)),
        (chosen(world, TIME, end.format_iso()), (LSN, SYSTEM, SIZE)),
        (chosen(world, NAME, "before the upgrade"), (NAME, SYSTEM, SIZE)),
        (chosen(world, XID, str(last.summary.most_xid)), (XID, SYSTEM, SIZE)),
    ):
        told = found.recovery
        assert (told.kind, told.system, told.segment_size) == recovery
        assert found.point.id == old
    now = chosen(world, TIME, world.clock.now().format_iso())
    assert (now.point.id, now.recovery.system, now.recovery.segment_size) == (new, "8", 2 * SIZE)
    with pytest.raises(Precondition) as refused:
        chosen(world, TIME, end.add(seconds=50).format_iso())
    assert f"to {end.format_iso()}; " in refused.value.hint
    with world.database.reading() as connection:
        found = protection.by_id(connection, world.instance)
        point = recovery_points.get(connection, world.instance, old)
        assert apart(connection, found, point).system == SYSTEM


def test_what_is_kept_last_is_what_a_server_must_have(world: CareWorld, stream: Stream) -> None:
    a_base(world, 1, BASE)
    pack = stream.put(BASE, BASE + 2000)
    told = msgspec.structs.replace(pack, tail_start=BASE + 500, tail=b"d" * 32)
    stream.report(told)
    with world.database.reading() as connection:
        tail = wal.tail_of(wal.stream_of(connection, world.instance))
    assert (tail.system_identifier, tail.timeline) == (SYSTEM, 1)
    assert (tail.start, tail.end, tail.digest) == (BASE + 500, BASE + 2000, b"d" * 32)


def test_nothing_is_offered_across_a_gap(world: CareWorld, stream: Stream) -> None:
    a_base(world, 1, BASE + 100)
    stream.goes_on(BASE, BASE + 1000)
    before = world.clock.now()
    world.clock.advance(10)
    lost = world.clock.now()
    stream.goes_on(BASE + SIZE, BASE + SIZE + 1000)
    stream.goes_on(BASE + SIZE + 1000, BASE + SIZE + 2000)
    for moment in (lost, before):  # the commit that would end recovery lies behind the gap
        with pytest.raises(Precondition, match="without a hole"):
            chosen(world, TIME, moment.format_iso())
    assert chosen(world, LSN, text(BASE + 500)).recovery.timelines[0][2] == BASE + 1000
    again = a_base(world, 2, BASE + SIZE + 1500)
    stream.goes_on(BASE + SIZE + 2000, BASE + SIZE + 3000)
    assert chosen(world, TIME, world.clock.now().format_iso()).point.id == again


def test_nothing_is_offered_through_a_spell_of_minimal_log(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE + 100)
    stream.goes_on(BASE, BASE + 1000)
    pack = stream.put(BASE + 1000, BASE + 5000)
    pack.summary.minimal_lsn = BASE + 2000
    stream.report(pack)
    stream.goes_on(BASE + 5000, BASE + 6000)
    assert gaps(world) == [(1, BASE + 2000, BASE + 2000)]
    assert chosen(world, LSN, text(BASE + 500)).recovery.timelines[0][2] <= BASE + 2000
    for lsn in (BASE + 3000, BASE + 5500):
        with pytest.raises(Precondition, match="without a hole"):
            chosen(world, LSN, text(lsn))
    behind = a_base(world, 2, BASE + 4000)
    found = chosen(world, LSN, text(BASE + 5200))
    assert (found.point.id, found.recovery.timelines[0][2]) == (behind, BASE + 6000)


def test_the_path_follows_a_promotion_and_an_abandoned_end_is_reached_by_name_alone(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE + 100)
    stream.goes_on(BASE, BASE + 1000)
    left = world.clock.now()
    world.clock.advance(1)
    stream.goes_on(BASE + 1000, BASE + 5000, name="lost side")
    fork = BASE + 2000
    history = WalHistory(timeline=2, text=f"1\t{text(fork)}\tno recovery target specified\n")
    world.clock.advance(1)
    stream.report(stream.put(BASE, fork + 1000, timeline=2), histories=(history,))
    stream.goes_on(fork + 1000, fork + 2000, timeline=2)
    found = chosen(world, TIME, world.clock.now().format_iso())
    assert found.recovery.timeline == 2
    assert [each[0] for each in found.recovery.timelines] == [1, 2]
    assert found.recovery.timelines[0] == (1, BASE, fork)
    for kind, value in ((TIME, left.format_iso()), (LSN, text(BASE + 1990))):
        found = chosen(world, kind, value)  # a commit that nobody comes by ends no recovery
        assert [each[0] for each in found.recovery.timelines] == [1, 2]
    with pytest.raises(NotFound):
        chosen(world, NAME, "lost side")
    assert chosen(world, NAME, "lost side", timeline=1).recovery.timeline == 1
    assert gaps(world) == []


def test_the_first_point_stays_for_log_that_had_come_before_it(
    world: CareWorld, stream: Stream
) -> None:
    """A server is streamed while its first backup runs."""
    stream.goes_on(BASE, BASE + 1000)
    world.clock.advance(10)
    a_base(world, 1, BASE + 500)
    stream.goes_on(BASE + 1000, BASE + 2000)
    world.clock.advance(10)
    a_base(world, 2, BASE + 1500)
    with world.database.reading() as connection:
        points = recovery_points.list_of_instance(connection, world.instance)
        assert set(base_of_log(connection, world.instance, points)) == {point_id(1)}


def test_log_expires_by_its_window_but_not_what_the_rest_leans_on(
    world: CareWorld, stream: Stream
) -> None:
    a_base(world, 1, BASE + 100)
    packs = []
    for day in range(12):
        if day == 3:
            second = a_base(world, 2, BASE + day * 4 * SIZE + 100)
            old = world.clock.now().subtract(hours=36)
        packs.append(stream.goes_on(BASE + day * 4 * SIZE, BASE + (day + 1) * 4 * SIZE))
        world.clock.advance(86_400)
    with world.database.reading() as connection:
        points = recovery_points.list_of_instance(connection, world.instance)
        assert set(base_of_log(connection, world.instance, points)) == {point_id(1)}
    assert chosen(world, TIME, old.format_iso()).point.id == point_id(1)
    assert expire_log(world.means, world.instance) > 0
    words = "lies before all that can be reached", "cannot be reached without a hole"
    asked = (TIME, old.format_iso()), (LSN, text(BASE + SIZE))
    for (kind, value), why in zip(asked, words, strict=True):
        with pytest.raises(Precondition, match=why) as refused:
            chosen(world, kind, value)
        assert "restorable on timeline 1: 20" in refused.value.hint
    with pytest.raises(NotFound):
        chosen(world, XID, str(packs[0].summary.most_xid))
    left = world.names("w/")
    assert packs[3].name in left  # the second point is what the oldest second is reached from
    assert packs[0].name not in left
    with world.database.reading() as connection:
        assert wal.all_names(connection, world.instance) == set(left)
        kept = kept_of(connection, protection.by_id(connection, world.instance))
        assert [reach.point.id for reach in kept.reaches(kept.path())] == [second]
    a_window(world, 0)  # less is kept of what comes; what was promised stays
    assert expire_log(world.means, world.instance) == 0


def test_a_log_that_nobody_has_begun_says_since_when_it_is_asked_for(world: CareWorld) -> None:
    owner = create_service_principal(world.control, "me", "me", "s" * 20, [(OWNER.id, "/")])
    caller = Caller(principal_id=owner)

    def told() -> dict[str, Any]:
        with world.database.reading() as connection:
            found = protection.by_id(connection, world.instance)
        vault = VaultRef(resource_group=found.resource_group, name=found.vault_name)
        return stream_state(world.control, caller, vault, found.instance_name)

    assert told() == {"state": "Off"}
    a_window(world, 7)
    assert told() == {"state": "Starting"}
    asked = world.clock.now()
    in_each(world.means, settle_stream, streaming.unsettled)
    world.clock.advance(600)
    assert told() == {"state": "Starting", "askedAt": asked.format_iso()}


def test_a_policy_keeps_the_log_of_all_that_it_protects_and_a_setting_no_less(
    world: CareWorld, stream: Stream
) -> None:
    def until() -> list[float]:
        with world.database.reading() as connection:
            rows = wal.list_packs(connection, world.instance)
        return [
            round((row["keep_until"] - row["committed_at"]).total("hours") / 24) for row in rows
        ]

    def is_streamed() -> bool:
        in_each(world.means, settle_stream, streaming.unsettled)
        with world.database.reading() as connection:
            row = agent_operations.get(connection, streaming.operation_of(world.instance))
            assert streaming.unsettled(connection) == []  # nothing to do in the next round
        return row is not None and row["status"] in agent_operations.OPEN

    a_window(world, 0)
    assert not is_streamed()
    a_policy_with_a_window(world, 35)
    assert is_streamed()
    stream.goes_on(BASE, BASE + 1000)
    a_window(world, 7)  # less than its policy says
    stream.goes_on(BASE + 1000, BASE + 2000)
    a_window(world, 60)
    stream.goes_on(BASE + 2000, BASE + 3000)
    assert until() == [35, 35, 60]
    a_window(world, 0)
    a_policy_with_a_window(world, 0)
    assert not is_streamed()


def test_log_that_stays_away_or_is_lost_is_an_alert_until_it_comes_and_a_point_is_behind_it(
    world: CareWorld, stream: Stream
) -> None:
    def about_log() -> list[str]:
        with world.database.writing() as connection:  # its agent is there all the time
            connection.execute(agents.update().values(seen_at=world.clock.now()))
        settle_alerts(world.control)
        with world.database.reading() as connection:
            keys = [alert.key.partition(":")[0] for alert in alerts.open_ones(connection)]
        return sorted(key for key in keys if key in {"gap", "log"})

    a_base(world, 1, BASE + 100)
    stream.goes_on(BASE, BASE + 1000)
    assert about_log() == []
    world.clock.advance(400)
    assert about_log() == ["log"]
    stream.goes_on(BASE + SIZE, BASE + SIZE + 1000)
    assert about_log() == ["gap"]
    world.clock.advance(10)
    a_base(world, 2, BASE + SIZE + 500)
    assert about_log() == []


def test_a_full_backup_is_begun_where_the_log_began_behind_the_only_point(
    world: CareWorld, stream: Stream
) -> None:
    """A backup that ended just before its server's stream began."""

    def begun() -> list[str]:
        fill_gaps(world.means, world.instance)
        with world.database.reading() as connection:
            running = jobs.list_running(connection)
            return [jobs.get(connection, job).order["why"] for job in running]

    a_base(world, 1, BASE - SIZE + 288)
    assert begun() == []  # nothing is kept yet
    stream.goes_on(BASE, BASE + 1000)
    assert begun() == ["its log is kept, and no point leads to it yet"]
    assert len(begun()) == 1


def test_no_backup_is_begun_for_log_to_which_a_point_leads(
    world: CareWorld, stream: Stream
) -> None:
    stop = BASE + 4000  # further than the log has come
    a_base(world, 1, stop)
    for start in range(BASE, BASE + 8000, 1000):
        stream.goes_on(start, start + 1000)
        fill_gaps(world.means, world.instance)
    with world.database.reading() as connection:
        assert jobs.list_running(connection) == []


def test_what_was_put_and_never_committed_is_garbage_and_nothing_else_is(
    world: CareWorld, stream: Stream
) -> None:
    kept = stream.goes_on(BASE, BASE + 1000)
    lost = stream.put(BASE + 1000, BASE + 2000)
    world.clock.advance(10)
    collect(world.means, world.instance, grace_seconds=5)
    world.clock.advance(7200)
    told = collect(world.means, world.instance, grace_seconds=5)
    assert told.freed_objects == 1
    assert world.names("w/") == [kept.name]
    with pytest.raises(ObjectMissing):
        stream.report(lost)
