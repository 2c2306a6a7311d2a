"""The audit chain, its signatures, and the anchors at the storage endpoint."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import msgspec
import pytest
import sqlalchemy as sa
from azure.core.exceptions import HttpResponseError
from structlog.testing import capture_logs

from care_world import CareWorld, care_world
from seams import SystemChance
from strongroom.catalog.oversight import audit as catalog
from strongroom.catalog.tables.tables import audit
from strongroom.control.oversight.audit import Verdict, verdicts
from strongroom.control.oversight.audit_gaps import find_ahead, go_on
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.oversight.audit import Anchor, anchor_name, digest_of
from strongroom.model.oversight.audit_gap import LEAP
from strongroom.workflows.basis.means import Means
from strongroom.workflows.care.anchoring import (
    StorageWitness,
    container_of,
    examine_chain,
    seal_anchor,
    write_anchor,
)

RECORDS = 12
_numbers = itertools.count()


class Chain:
    """A catalogue with twelve signed records, of which the first eight are anchored."""

    def __init__(self, world: CareWorld, installation: str) -> None:
        self.world, signing = world, world.means.keyring.signing
        world.database.sign = signing.sign_record
        self.change(audit.delete())
        self.container = container_of(installation)
        witness = StorageWitness(world.means.storage, signing, installation).witness()
        here = msgspec.structs.replace(world.control.installation, tenant_id=installation)
        control = dataclasses.replace(world.control, witness=witness, installation=here)
        self.means: Means = dataclasses.replace(world.means, control=control)
        self.add(8)
        write_anchor(self.means)
        self.add(RECORDS - 8)

    def add(self, count: int) -> None:
        for _ in range(count):
            with self.world.database.writing() as connection:
                what = ("do", "a thing")
                catalog.append(connection, self.world.clock.now(), "me", what, {"n": 1e22})

    def change(self, statement: sa.Executable) -> None:
        with self.world.database.writing() as connection:
            connection.execute(statement)

    def verdict(self) -> Verdict:
        (found,) = verdicts(self.means.control)
        return found

    def problems(self) -> list[tuple[int, str]]:
        return [(p.sequence, p.kind) for p in self.verdict().problems]

    def write_anew(self, sequence: int, sign: Callable[[bytes], bytes]) -> None:
        """Change one record and all behind it, so that every link fits again."""
        with self.world.database.writing() as connection:
            previous = catalog.digest_at(connection, sequence - 1) or b""
            query = audit.select().where(audit.c.sequence >= sequence).order_by(audit.c.sequence)
            for row in connection.execute(query).mappings().all():
                told = {**row, "actor": "somebody else"}
                digest = digest_of(told, previous)
                values = {"actor": "somebody else", "previous": previous, "digest": digest}
                here = audit.update().where(audit.c.sequence == row["sequence"])
                connection.execute(here.values(**values, signature=sign(digest)))
                previous = digest

    @property
    def blobs(self):
        return self.means.storage.container(self.container)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CareWorld]:
    with care_world(tmp_path_factory.mktemp("care")) as found:
        yield found


@pytest.fixture
def chain(world: CareWorld) -> Chain:
    """Of an installation of its own each."""
    return Chain(world, f"house-{next(_numbers)}")


def test_a_chain_that_nobody_touched_is_whole_and_anchored(chain: Chain):
    found = chain.verdict()
    assert found.problems == []
    assert (found.checked, found.head, found.next) == (RECORDS, RECORDS, None)
    assert (found.anchors, found.anchored_to) == (1, 8)
    write_anchor(chain.means)
    write_anchor(chain.means)
    found = chain.verdict()
    assert (found.anchors, found.anchored_to, found.problems) == (2, RECORDS, [])


def test_stretches_together_are_the_whole_chain(chain: Chain):
    found = list(verdicts(chain.means.control, 5))
    assert [part.checked for part in found] == [5, 5, 2]
    assert [part.next for part in found] == [5, 10, None]
    chain.change(audit.delete().where(audit.c.sequence == 6))
    problems = [p for part in verdicts(chain.means.control, 5) for p in part.problems]
    assert [(p.sequence, p.kind) for p in problems] == [(6, "missing")]


def test_an_edit_names_the_record(chain: Chain):
    chain.change(audit.update().where(audit.c.sequence == 3).values(detail={"n": 2}))
    assert chain.problems() == [(3, "edited")]


def test_records_that_are_chained_anew_without_the_key_are_no_longer_signed(chain: Chain):
    other = SigningKey(SystemChance().bytes(32))
    chain.write_anew(9, other.sign_record)
    assert chain.problems() == [(n, "forged") for n in range(9, RECORDS + 1)]


def test_a_chain_that_is_made_anew_with_the_key_itself_does_not_fit_its_anchor(chain: Chain):
    chain.write_anew(2, chain.means.keyring.signing.sign_record)
    assert chain.problems() == [(8, "rewritten")]


def test_a_chain_that_was_cut_is_told_by_its_anchor(chain: Chain):
    chain.change(audit.delete().where(audit.c.sequence > 5))
    assert chain.problems() == [(6, "lost")]
    assert "records 6 to 8" in chain.verdict().problems[0].message


def test_a_catalogue_that_was_set_back_and_goes_on_is_told_by_its_anchor(chain: Chain):
    chain.change(audit.delete().where(audit.c.sequence > 5))
    chain.world.clock.advance(60)
    chain.add(RECORDS)
    assert chain.problems() == [(8, "rewritten")]
    write_anchor(chain.means)
    assert chain.problems() == [(8, "rewritten")]


def test_a_catalogue_that_is_made_anew_is_told_by_its_anchor(chain: Chain):
    chain.change(audit.delete())
    assert chain.problems() == [(1, "lost")]


def test_a_restored_catalogue_goes_on_behind_a_gap_that_is_told_for_ever(chain: Chain):
    chain.change(audit.delete().where(audit.c.sequence > 5))
    assert find_ahead(chain.means.control).sequence == 8
    gap = go_on(chain.means.control, "console:anna")
    assert (gap.after, gap.first, gap.last, gap.sequence) == (5, 6, 8, 8 + LEAP)
    assert find_ahead(chain.means.control) is None
    assert go_on(chain.means.control, "console:anna") is None
    chain.add(3)
    write_anchor(chain.means)
    found = chain.verdict()
    assert (found.problems, found.gaps) == ([], [gap])
    assert (found.head, found.anchored_to, found.checked) == (11 + LEAP, 11 + LEAP, 9)
    # In stretches it is the same, and so it is when the catalogue is restored once more.
    assert not [p for part in verdicts(chain.means.control, 2) for p in part.problems]
    chain.change(audit.delete().where(audit.c.sequence > 9 + LEAP))
    again = go_on(chain.means.control, "console:ben")
    assert (again.after, again.first, again.last) == (9 + LEAP, 10 + LEAP, 11 + LEAP)
    assert (chain.verdict().problems, chain.verdict().gaps) == ([], [gap, again])


def test_a_gap_hides_no_edit_before_it_and_cannot_be_widened(chain: Chain):
    chain.change(audit.delete().where(audit.c.sequence > 9))
    chain.add(1)
    write_anchor(chain.means)
    chain.change(audit.delete().where(audit.c.sequence > 9))
    gap = go_on(chain.means.control, "console:anna")
    assert (gap.first, gap.last) == (10, 10)
    chain.write_anew(2, chain.means.keyring.signing.sign_record)
    assert chain.problems() == [(8, "rewritten")]


def test_only_a_gap_that_this_installation_has_signed_is_one(chain: Chain):
    chain.change(audit.delete().where(audit.c.sequence > 5))
    go_on(chain.means.control, "console:anna")
    told = {"after": 5, "first": 1, "last": 8, "digest": bytes(32).hex()}
    chain.change(audit.update().where(audit.c.sequence > 5).values(detail=told))
    assert ("edited" in dict(chain.problems()).values(), chain.verdict().gaps) == (True, [])
    assert (8, "rewritten") in chain.problems()


def test_a_catalogue_that_is_made_anew_goes_on_behind_all_that_was(chain: Chain):
    chain.change(audit.delete())
    gap = go_on(chain.means.control, "console:anna")
    assert (gap.after, gap.first, gap.last) == (0, 1, 8)
    assert (chain.verdict().problems, chain.verdict().gaps) == ([], [gap])


def test_what_was_written_before_the_restore_was_noticed_lies_in_the_gap(chain: Chain):
    chain.change(audit.delete().where(audit.c.sequence > 5))
    chain.world.clock.advance(60)
    chain.add(4)
    assert find_ahead(chain.means.control) is None
    gap = go_on(chain.means.control, "console:anna")
    assert (gap.after, gap.first, gap.last) == (9, 8, 8)
    assert (chain.verdict().problems, chain.verdict().gaps) == ([], [gap])


def test_an_anchor_that_somebody_else_has_made_is_told_from_ours(chain: Chain):
    other = SigningKey(SystemChance().bytes(32))
    installation = chain.means.control.installation.tenant_id
    for number in (8, 99):
        name = anchor_name(number, bytes(32))
        stated = Anchor(
            installation=installation, sequence=number, digest=bytes(32).hex(), at="2030-01-01"
        )
        chain.blobs.create(name, seal_anchor(other, stated))
    chain.blobs.create("a/rubbish", b"x")
    assert chain.problems() == [(8, "false anchor"), (0, "false anchor"), (99, "false anchor")]


def test_nobody_takes_an_anchor_away_or_writes_it_anew(chain: Chain):
    (name,) = [name for name, _ in chain.blobs.list("a/")]
    client = chain.world.store.azure().get_blob_client(chain.container, name)
    with pytest.raises(HttpResponseError) as refused:
        client.delete_blob()
    assert refused.value.error_code == "BlobImmutableDueToPolicy"
    with pytest.raises(HttpResponseError):
        client.upload_blob(b"another", overwrite=True)
    view = chain.means.storage.account_view(chain.container)
    assert view.immutability().state == "Locked"
    assert chain.verdict().problems == []


def test_what_does_not_fit_is_an_alarm_in_the_log(chain: Chain):
    chain.change(audit.update().where(audit.c.sequence == 3).values(target="another"))
    with capture_logs() as logs:
        examine_chain(chain.means)
    (alarm,) = [entry for entry in logs if entry["event"] == "audit.broken"]
    assert (alarm["record"], alarm["kind"]) == (3, "edited")
