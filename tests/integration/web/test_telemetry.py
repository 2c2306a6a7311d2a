"""Traces of requests and stories by OTLP over HTTP, and the ids that every log line has."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.util._once import Once
from structlog.contextvars import get_contextvars

from arm_story import Story
from arm_world import VERSION, ArmWorld, vault_id
from lapse import Lapse
from strongroom.app.telemetry import traced
from strongroom.control.protection import policies
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.workflows.basis.bound import bound


class Collector(BaseHTTPRequestHandler):
    """As much of OTLP/HTTP as takes traces."""

    spans: ClassVar[dict[str, dict[str, str]]] = {}
    came: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    told = {each.key: each.value.string_value for each in span.attributes}
                    self.spans[span.name] = told
        self.send_response(200)
        self.end_headers()
        self.came.set()

    def log_message(self, *told: Any) -> None:
        """Says nothing."""


@contextmanager
def collecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Traces go to a receiver of ours; then they go nowhere again."""
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        try:
            with traced({"OTEL_EXPORTER_OTLP_ENDPOINT": url}):
                yield
        finally:
            trace._TRACER_PROVIDER = None
            trace._TRACER_PROVIDER_SET_ONCE = Once()
            server.shutdown()
            thread.join()


def test_requests_and_stories_are_traced_with_their_ids(
    story: Story, world: ArmWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lapse = Lapse(tmp_path, datetime(2026, 1, 2, 3, tzinfo=UTC))
    vault = lapse.vault("v", "Disabled")
    policies.put_policy(lapse.control, lapse.caller, vault, "policy", ten_years_policy())
    lapse.protect(vault, "a", "policy")
    lapse.go_to(datetime(2026, 1, 3, 3, tzinfo=UTC))
    (job,) = lapse.begin_due()
    seen: list[dict[str, Any]] = []

    def work(means: Any, story: Any, job_id: str) -> str:
        seen.append(dict(get_contextvars()))
        return job_id

    running: Any = SimpleNamespace(id="backup-1")
    with collecting(monkeypatch):
        answer = story.http.get(vault_id(), params=VERSION)
        assert bound(lapse.means, "backup", work)(running, job) == job
        assert bound(lapse.means, "purge", work)(running, "no job") == "no job"
        # A request's span ends a moment after its answer has come.
        mine = answer.headers["x-ms-request-id"]
        while not any(told.get("strongroom.request") == mine for told in Collector.spans.values()):
            Collector.came.wait(0.05)
            Collector.came.clear()
            trace.get_tracer_provider().force_flush()
    ids = {"workflow": "backup-1", "job": job, "instance": "id-of-a"}
    assert seen == [ids, {"workflow": "backup-1"}]
    assert get_contextvars() == {}
    spans = Collector.spans
    assert spans["backup"] == {f"strongroom.{key}": value for key, value in ids.items()}
    (name,) = [each for each, told in spans.items() if told.get("strongroom.request") == mine]
    assert name.startswith("GET /subscriptions/{"), spans
    assert name.endswith("/backupVaults/{vault}"), spans
    lapse.close()


def test_without_an_endpoint_nothing_is_sent() -> None:
    with traced({}):
        span = trace.get_tracer("strongroom").start_span("any")
        assert not span.is_recording()
