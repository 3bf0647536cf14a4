import subprocess
import sys

from tests.telemetry.live import ROOT, TelemetryProcess, eventually

CONSOLE = """
import sys
from pathlib import Path
from opentelemetry import trace
from telemetry import bootstrap, instrument, names
from telemetry.config import Settings

settings = Settings.from_environment({"HOLDFAST_HOME": sys.argv[1]})
settings = settings.with_ports(otlp_port=int(sys.argv[2]), query_port=1)
telemetry = bootstrap.start(
    names.SERVICE_WEB, "web-1", settings, trace_id=instrument.current_trace_id
)
provider = instrument.use_sdk(telemetry)
instrument.instrument_django(provider)
instrument.instrument_celery(provider)
with trace.get_tracer("console").start_as_current_span("start run"):
    import logging
    logging.getLogger("console").info("run started")
    print(instrument.outgoing_headers()["traceparent"], instrument.current_trace_id())
assert instrument.current_trace_id() == ""
telemetry.stop()
"""


def test_a_span_and_a_line_of_the_console_arrive_under_one_trace(
    shared_process: TelemetryProcess,
) -> None:
    port = str(shared_process.settings.otlp_port)
    ran = subprocess.run(
        [sys.executable, "-c", CONSOLE, str(shared_process.home), port],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    traceparent, trace_id = ran.stdout.split()

    trace = eventually(lambda: shared_process.query.trace(trace_id), "the span is stored")
    lines = eventually(lambda: shared_process.query.logs(trace_id=trace_id), "so is the line")

    assert traceparent.split("-")[1] == trace_id
    assert [(span["name"], span["node"]) for span in trace["spans"]] == [("start run", "web-1")]
    assert [line["message"] for line in lines] == ["run started"]


def test_the_facade_costs_a_pure_process_nothing() -> None:
    script = (
        "import sys, telemetry.config, telemetry.names, telemetry.metrics, telemetry.logs\n"
        "import telemetry.tracing\n"
        "heavy = {'opentelemetry', 'google', 'django', 'celery', 'chdb', 'http'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout == "[]\n"
