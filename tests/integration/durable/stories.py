"""Stories for the engine's contract, and a process that lives them and can be killed."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strongroom.catalog.basis.database import Database
from strongroom.durable.engine import JobEngine, Story, WorkflowState
from strongroom.model.errors import StoreUnavailable, VaultError

ENDED = {WorkflowState.SUCCEEDED, WorkflowState.FAILED, WorkflowState.CANCELLED}
PATIENCE = 90.0  # a machine may be busy with much else
# Imports once, then forks: a process costs 50 ms instead of 2 s.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["strongroom.durable.engine", "strongroom.catalog.basis.database"])


def until(what: str, look: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")


class Stories:
    """Each step notes `step executor` in a file before it does anything."""

    def __init__(self, home: Path, executor: str) -> None:
        self.home = home
        self.executor = executor

    def register(self, engine: JobEngine) -> None:
        for name in ("sums", "poison", "holds", "waits", "sleeps", "tells", "beats"):
            engine.register(name, getattr(self, name))

    def note(self, step: str) -> str:
        with (self.home / "trace").open("a") as file:
            file.write(f"{step} {self.executor}\n")
        return self.executor

    def _die_once(self, step: str) -> int:
        self.note(step)
        if not (self.home / "died").exists():
            (self.home / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2

    def _die(self) -> None:
        self.note("poison")
        os.kill(os.getpid(), signal.SIGKILL)

    def _hold(self) -> str:
        self.note("hold")
        until("the gate to open", (self.home / "gate").exists)
        return self.executor

    def _refuse(self) -> None:
        self.note("refuse")
        raise StoreUnavailable("the store is down", hint="start it", facts={"n": 1})

    def sums(self, story: Story) -> int:
        story.step("one", self.note, "one")
        return 1 + story.step("two", self._die_once, "two")

    def poison(self, story: Story) -> None:
        story.step("before", self.note, "before")
        story.step("die", self._die)

    def holds(self, story: Story) -> list[str]:
        held = story.step("hold", self._hold)
        return [held, story.step("after", self.note, "after")]

    def waits(self, story: Story, seconds: float) -> Any:
        story.step("begin", self.note, "begin")
        story.step("about to wait", self.note, "about to wait")  # so "begin" is remembered
        return story.wait("news", seconds)

    def sleeps(self, story: Story, seconds: float) -> None:
        began = story.step("began", time.time)
        story.sleep(seconds)
        return story.step("ended", lambda: time.time() - began)

    def beats(self, story: Story, times: int) -> str:
        """Long, with a step now and then: what a restore of a day looks like."""
        for count in range(times):
            story.step("beat", self.note, f"beat {count}")
            story.wait("nothing", 0.3)
        return "whole"

    def tells(self, story: Story) -> list[Any]:
        """Everything that a history can hold; `tests/golden/durable-history-1.json` is one."""
        told: list[Any] = [story.step("pair", lambda: (1, {"__error__": 2}))]
        try:
            story.step("refuse", self._refuse)
        except VaultError as error:
            told.append(error.to_dict())
        told += [story.wait("news", 10), story.wait("nothing", 0.1)]
        story.sleep(0.1)
        story.step("hold", self._hold)
        return told


def live(url: str, executor: str, home: Path, orders: list[list[Any]]) -> None:
    """One process: the orders, then what the queue brings, until `stop.EXECUTOR` is there."""
    engine = JobEngine(url, executor_id=executor)
    Stories(home, executor).register(engine)
    engine.launch()
    database = Database(url)
    for verb, *given in orders:
        if verb == "enqueue":
            with database.writing() as connection:
                engine.enqueue(connection, *given)
        elif verb == "take over":
            (home / "taken").write_text(str(engine.take_over(given)))
        else:
            getattr(engine, verb)(*given)
    (home / f"ready.{executor}").touch()
    while not (home / f"stop.{executor}").exists():
        for path in home.glob("watch.*"):
            workflow = path.name.partition(".")[2]
            found = engine.status(workflow)
            if found and found.state in ENDED:
                error = found.error.to_dict() if found.error else None
                partial = home / f"partial.{executor}"
                partial.write_text(json.dumps([found.state, found.result, error]))
                partial.rename(home / f"ended.{workflow}")
        time.sleep(0.03)
    engine.close()
    database.close()


class Processes:
    """Processes over one database, by executor id."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.home = home
        self.found: dict[str, Any] = {}

    def start(self, executor: str, *orders: list[Any]) -> None:
        for name in ("ready", "stop"):
            (self.home / f"{name}.{executor}").unlink(missing_ok=True)
        given = (self.url, executor, self.home, list(orders))
        process = _context.Process(target=live, args=given, daemon=True)
        process.start()
        self.found[executor] = process

    def wait_for_ready(self, executor: str) -> None:
        until(f"{executor} to be ready", (self.home / f"ready.{executor}").exists)

    def run(self, executor: str, *orders: list[Any]) -> None:
        """Start, have the orders done, stop."""
        self.start(executor, *orders)
        self.wait_for_ready(executor)
        self.stop(executor)

    def stop(self, executor: str) -> float:
        """-> how long it took."""
        began = time.monotonic()
        (self.home / f"stop.{executor}").touch()
        self.died(executor)
        return time.monotonic() - began

    def signal(self, executor: str, number: signal.Signals) -> None:
        os.kill(self.found[executor].pid, number)

    def died(self, executor: str) -> int:
        process = self.found.pop(executor)
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"{executor} does not end")
        return int(process.exitcode)

    def kill(self, executor: str) -> None:
        self.signal(executor, signal.SIGKILL)
        self.died(executor)

    def ended(self, workflow: str) -> list[Any]:
        """[state, result, error] as a living process sees it."""
        (self.home / f"watch.{workflow}").touch()
        path = self.home / f"ended.{workflow}"
        until(f"{workflow} to end", path.exists)
        found: list[Any] = json.loads(path.read_text())
        path.unlink()
        return found

    @property
    def trace(self) -> list[str]:
        path = self.home / "trace"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, line: str, count: int = 1) -> None:
        until(f"{count} x {line!r}", lambda: self.trace.count(line) >= count)

    def open_gate(self) -> None:
        (self.home / "gate").touch()

    def close(self) -> None:
        for executor in list(self.found):
            self.signal(executor, signal.SIGKILL)
            self.died(executor)
