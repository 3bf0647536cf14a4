"""Spans of the console's side, by the ordinary instrumentation packages.

Django requests and Celery tasks are few and may cost 20 us each, so they use the SDK as it comes:
every one is recorded, and their spans leave by the same bounded exporter as the store's. One
trace id then runs from a button to the storage operation. Outside the facade: the store never
imports this.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import propagate, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from telemetry.bootstrap import Telemetry
from telemetry.otlp.exporter import Exporter


class _ToExporter(SpanProcessor):
    """Hands each ended span on; encoding is the exporter's business."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._exporter.offer_span(span)


def use_sdk(telemetry: Telemetry, *, processors: Sequence[SpanProcessor] = ()) -> TracerProvider:
    """Make this process's tracers report to us. Once a process."""
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON), resource=telemetry.exporter.sdk_resource
    )
    for processor in (*processors, _ToExporter(telemetry.exporter)):
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    return provider


def instrument_django(provider: TracerProvider) -> None:
    """A span for each request. Before Django's middleware is loaded."""
    DjangoInstrumentor().instrument(tracer_provider=provider)


def instrument_celery(provider: TracerProvider) -> None:
    """A span for each task, in the trace of whoever sent it. In the worker's child process."""
    instrumentor = CeleryInstrumentor()  # type: ignore[no-untyped-call]
    instrumentor.instrument(tracer_provider=provider)


def current_trace_id() -> str:
    """The trace of the running code, for log lines; "" outside a span."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def outgoing_headers() -> dict[str, str]:
    """The traceparent header that carries the current trace to another process."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
