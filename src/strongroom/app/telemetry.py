"""Traces of requests and stories, sent by OTLP over HTTP when an endpoint is named.

Source: OpenTelemetry, "OTLP exporter configuration": OTEL_EXPORTER_OTLP_ENDPOINT, or the same
for traces alone; headers and certificates come from the environment too.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace

from strongroom import __version__
from strongroom.model.errors import Precondition

_NAMES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@contextmanager
def traced(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Within: traces are sent, if an endpoint is named; what is left is sent at the end.

    Raises Precondition where one is named and the packages for it are not there.
    """
    if not any(environment.get(name) for name in _NAMES):
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Precondition(
            "an endpoint for traces is named, and what sends them is not installed",
            hint="pip install --require-hashes -r requirements/extras.txt",
        ) from error
    who = Resource.create({"service.name": "strongroom", "service.version": __version__})
    provider = TracerProvider(resource=who)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
