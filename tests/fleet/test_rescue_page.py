"""The page for the worst moment names this fleet's ports and files, and no secret."""

from __future__ import annotations

from pathlib import Path

from storage_core.config import Settings
from storage_core.fleet.rescue_page import rescue_page


def test_the_page_names_ports_and_the_token_s_file(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"HOLDFAST_HOME": str(tmp_path), "HOLDFAST_NODE_PORT_BASE": "23010"}
    )
    settings.secrets.mkdir()
    (settings.secrets / "admin.token").write_text("s3cret")

    page = rescue_page(settings)

    assert "| node-2 | 23012 | 23022 | 23032 |" in page
    assert f"$(cat {tmp_path}/secrets/admin.token)" in page
    assert "http://127.0.0.1:23031/status" in page
    assert '-d \'{"to": NODE, "fence": {"leader": L, "term": T}}\'' in page
    assert "kill -CONT PID" in page
    assert "s3cret" not in page
