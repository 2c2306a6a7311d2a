"""Slowing down whoever guesses."""

from strongroom.web.api.tokens import SignInGuard

WHO = ("10.0.0.1", "app")


def test_five_failures_are_free_and_then_the_wait_doubles_to_a_minute() -> None:
    guard, now = SignInGuard(), 100.0
    waits = []
    for _ in range(15):
        guard.failed(WHO, now)
        waits.append(guard.wait(WHO, now))
        now += waits[-1]
    assert waits[:8] == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert max(waits) == 60.0


def test_others_do_not_wait() -> None:
    guard = SignInGuard()
    for _ in range(10):
        guard.failed(WHO, 0.0)
    assert guard.wait(("10.0.0.2", "app"), 0.0) == 0.0
    assert guard.wait(("10.0.0.1", "other"), 0.0) == 0.0


def test_success_forgives() -> None:
    guard = SignInGuard()
    for _ in range(10):
        guard.failed(WHO, 0.0)
    guard.succeeded(WHO)
    assert guard.wait(WHO, 0.0) == 0.0


def test_memory_is_bounded_whoever_comes() -> None:
    guard = SignInGuard()
    for number in range(10_000):
        guard.failed((str(number), "app"), 0.0)
    assert len(guard._failures) <= 4096
