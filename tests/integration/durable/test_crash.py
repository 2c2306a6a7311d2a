"""Processes that die, freeze, come back and are replaced: no story is lost, none runs twice."""

import signal

from integration.durable.stories import Processes


def test_a_story_goes_on_after_a_kill_and_finished_steps_are_not_run_again(
    processes: Processes,
) -> None:
    processes.start("a", ["enqueue", "sums", "w1"])
    assert processes.died("a") == -signal.SIGKILL
    processes.start("a")
    assert processes.ended("w1") == ["succeeded", 3, None]
    assert processes.trace == ["one a", "two a", "two a"]


def test_the_stories_of_a_dead_process_are_taken_over_and_finished_steps_are_kept(
    processes: Processes,
) -> None:
    processes.start("a", ["enqueue", "sums", "w1"])
    assert processes.died("a") == -signal.SIGKILL
    processes.start("b", ["take over", "a", "never seen"])
    assert processes.ended("w1") == ["succeeded", 3, None]
    assert processes.trace == ["one a", "two a", "two b"]
    assert (processes.home / "taken").read_text() == "1"


def test_of_two_that_take_over_only_one_does(processes: Processes) -> None:
    processes.start("a", ["enqueue", "holds", "w1"])
    processes.wait_for("hold a")
    processes.kill("a")
    processes.start("b", ["take over", "a"])
    processes.wait_for("hold b")
    processes.start("c", ["take over", "a"])
    processes.open_gate()
    assert processes.ended("w1")[:2] == ["succeeded", ["b", "b"]]
    assert processes.trace == ["hold a", "hold b", "after b"]


def test_a_process_that_comes_back_after_it_was_taken_over_does_nothing_more(
    processes: Processes,
) -> None:
    processes.start("a", ["enqueue", "holds", "w1"])
    processes.wait_for("hold a")
    processes.signal("a", signal.SIGSTOP)
    processes.start("b", ["take over", "a"])
    processes.wait_for("hold b")
    processes.open_gate()
    assert processes.ended("w1")[:2] == ["succeeded", ["b", "b"]]
    processes.signal("a", signal.SIGCONT)
    processes.stop("a")
    assert processes.trace == ["hold a", "hold b", "after b"]


def test_a_story_that_kills_every_process_is_given_up_and_others_go_on(
    processes: Processes,
) -> None:
    processes.start("a", ["enqueue", "poison", "w1"])
    for _ in range(5):
        assert processes.died("a") == -signal.SIGKILL
        processes.start("a")
    assert processes.died("a") == -signal.SIGKILL
    processes.start("a", ["enqueue", "waits", "w2", 0.1])
    assert processes.ended("w2") == ["succeeded", None, None]
    state, _, error = processes.ended("w1")
    assert state == "failed"
    assert error["kind"] == "Failed"
    assert error["hint"]
    assert processes.trace.count("poison a") == 6  # once, and five recoveries


def test_a_healthy_story_outlives_any_number_of_restarts(processes: Processes) -> None:
    processes.start("a", ["enqueue", "beats", "w1", 8])
    for count in range(7):
        processes.wait_for(f"beat {count} a")  # which runs when the one before it is recorded
        processes.kill("a")
        processes.start("a")
    assert processes.ended("w1") == ["succeeded", "whole", None]
    assert all(processes.trace.count(f"beat {count} a") <= 2 for count in range(8))


def test_a_message_that_comes_while_no_process_lives_is_not_lost(processes: Processes) -> None:
    processes.start("a", ["enqueue", "waits", "w1", 60])
    processes.wait_for("about to wait a")
    processes.kill("a")
    processes.run("b", ["notify", "w1", "news", {"n": 1}])
    processes.start("a")
    assert processes.ended("w1") == ["succeeded", {"n": 1}, None]
    # The kill may fall between the second step and its record: that one may run once more.
    assert processes.trace.count("begin a") == 1
    assert set(processes.trace) == {"begin a", "about to wait a"}


def test_a_sleep_goes_on_where_it_was_after_a_kill(processes: Processes) -> None:
    processes.start("a", ["enqueue", "sleeps", "w1", 2.5])
    processes.wait_for_ready("a")
    processes.kill("a")
    processes.start("a")
    state, slept, _ = processes.ended("w1")
    assert state == "succeeded"
    assert 2.5 <= slept < 5


def test_a_process_ends_at_once_while_stories_wait_and_they_wait_on(
    processes: Processes,
) -> None:
    processes.start("a", ["enqueue", "waits", "w1", 600], ["enqueue", "sleeps", "w2", 600])
    processes.wait_for("about to wait a")
    assert processes.stop("a") < 5
    processes.start("a", ["notify", "w1", "news", "here"])
    assert processes.ended("w1") == ["succeeded", "here", None]


def test_cancelled_in_another_process_a_story_stops_before_its_next_step(
    processes: Processes,
) -> None:
    processes.start("a", ["enqueue", "holds", "w1"])
    processes.wait_for("hold a")
    processes.run("b", ["cancel", "w1"])
    processes.open_gate()
    assert processes.ended("w1")[0] == "cancelled"
    processes.stop("a")
    assert processes.trace == ["hold a"]
