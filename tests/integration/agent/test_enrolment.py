import hashlib
import stat
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent_world import ONE_TIME_TOKEN, AgentWorld, Fault, an_agent_world
from seams import FakeClock, SeededChance
from strongroom.agent.enrolment import enrolled
from strongroom.agent.settings import Settings, load_identity
from strongroom.model.errors import Precondition, Unauthenticated


@pytest.fixture
def world() -> Iterator[AgentWorld]:
    with an_agent_world() as world:
        yield world


@pytest.fixture
def settings(world, tmp_path) -> Settings:
    token = tmp_path / "token"
    token.write_text(ONE_TIME_TOKEN + "\n")
    data = tmp_path / "data"
    data.mkdir(0o700)
    return Settings(data=data, control_url=world.url, enrol_token_file=token, name="db1")


def enrol(settings: Settings):
    return enrolled(settings, FakeClock(), SeededChance(1))


def sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def test_a_one_time_token_buys_an_identity(settings, world):
    assert enrol(settings).agent_id == "agent-1"
    assert world.enrolled[0].name == "db1"


def test_the_agent_makes_its_own_token_and_tells_its_digest_alone(settings, world):
    made = enrol(settings).agent_token
    assert len(made) >= 43
    assert world.enrolled[0].agent_token_sha256 == sha256(made)


def test_an_enrolment_whose_answer_was_lost_is_asked_for_again_by_the_same_agent(settings, world):
    world.fault("enrol", Fault(lost=True), Fault(lost=True))
    made = enrol(settings).agent_token
    assert [one.agent_token_sha256 for one in world.enrolled] == [sha256(made)] * 3


def test_an_agent_that_died_before_it_kept_the_answer_enrols_at_its_next_start(settings, world):
    first = enrol(settings).agent_token
    # As if it had been killed before either file was touched.
    settings.identity_file.unlink()
    settings.token_file.write_text(first)
    settings.token_file.chmod(0o600)
    settings.enrol_token_file.write_text(ONE_TIME_TOKEN)
    assert enrolled(settings, FakeClock(), SeededChance(2)).agent_token == first


def test_our_token_is_on_disk_before_it_is_told_and_lies_in_one_place_afterwards(settings, world):
    world.fault("enrol", Fault(lost=True), Fault(status=403))
    with pytest.raises(Exception, match="403"):
        enrol(settings)
    assert stat.S_IMODE(settings.token_file.stat().st_mode) == 0o600
    assert sha256(settings.token_file.read_text()) == world.enrolled[0].agent_token_sha256
    enrol(settings)
    assert not settings.token_file.exists()


def test_a_spent_token_is_refused_to_another_agent(settings, world, tmp_path):
    enrol(settings)
    other = tmp_path / "other"
    other.mkdir(0o700)
    settings.enrol_token_file.write_text(ONE_TIME_TOKEN)
    stranger = replace(settings, data=other)
    with pytest.raises(Unauthenticated):
        enrolled(stranger, FakeClock(), SeededChance(2))


def test_the_identity_is_kept_for_the_owner_alone(settings):
    enrol(settings)
    assert stat.S_IMODE(settings.identity_file.stat().st_mode) == 0o600
    assert load_identity(settings).agent_id == "agent-1"


def test_the_one_time_token_is_removed_after_success(settings):
    enrol(settings)
    assert not settings.enrol_token_file.exists()


def test_the_one_time_token_stays_after_a_failure(settings, world):
    world.fault("enrol", *[Fault(status=403)] * 9)
    with pytest.raises(Exception, match="403"):
        enrol(settings)
    assert settings.enrol_token_file.exists()


def test_enrolment_waits_for_a_control_plane_that_is_not_up_yet(settings, world):
    world.fault("enrol", *[Fault(status=503)] * 20)
    assert enrol(settings).agent_id == "agent-1"


def test_an_enrolled_agent_does_not_enrol_again(settings, world):
    enrol(settings)
    settings.enrol_token_file.write_text("left by a crash")
    enrol(settings)
    assert len(world.enrolled) == 1
    assert not settings.enrol_token_file.exists()


def test_a_wrong_token_is_refused(settings):
    settings.enrol_token_file.write_text("wrong")
    with pytest.raises(Unauthenticated):
        enrol(settings)


def test_without_identity_and_token_the_hint_says_what_to_do(settings):
    settings.enrol_token_file.unlink()
    with pytest.raises(Precondition) as caught:
        enrol(settings)
    assert "--enrol" in caught.value.hint


def test_a_moved_control_plane_is_found_by_the_settings(settings):
    enrol(settings)
    moved = Settings(data=settings.data, control_url="https://new:1")
    assert load_identity(moved).control_url == "https://new:1"


def test_no_token_shows_in_a_repr(settings):
    identity = enrol(settings)
    assert identity.agent_token not in repr(identity)
