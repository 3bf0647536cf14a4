"""`rescue.md` in the home: what to type when nothing of ours starts.

The supervisor writes it at each start, from the settings it runs with, so that ports and paths are
those of this fleet. It names the token's file, never the token.
"""

from __future__ import annotations

from typing import Final

from storage_core.config import HOST, Settings
from storage_core.fleet.home import replace_file

PAGE_NAME: Final = "rescue.md"


def write_rescue_page(settings: Settings) -> None:
    """Write the page whole."""
    replace_file(settings.home / PAGE_NAME, rescue_page(settings))


def rescue_page(settings: Settings) -> str:
    """The page's text."""
    return _looking(settings) + _acting(settings.nodes - 1)


def _looking(settings: Settings) -> str:
    ports = "\n".join(
        f"| node-{node} | {settings.own_port(node)} | {settings.peer_port(node)} "
        f"| {settings.admin_port(node)} |"
        for node in range(settings.nodes)
    )
    looks = "\n".join(
        f'curl -sm 2 -H "$A" http://{HOST}:{settings.admin_port(node)}/status; echo'
        for node in range(settings.nodes)
    )
    return f"""# Rescue

What to type when the console is gone. Everything here needs the nodes alone.

| node | blobs | peers | admin |
|---|---|---|---|
{ports}

The front door is port {settings.blob_port}. Process numbers: `{settings.run}/registry.json`.
Logs: `{settings.logs}`.

With Python at hand, from the project's folder:

```sh
export HOLDFAST_HOME={settings.home} HOLDFAST_NODE_PORT_BASE={settings.node_port_base}
.venv/bin/python manage.py rescue list
.venv/bin/python manage.py rescue transfer NODE
.venv/bin/python manage.py rescue drain NODE
.venv/bin/python manage.py rescue undrain NODE
```

Without it:

```sh
A="Authorization: Bearer $(cat {settings.secrets}/admin.token)"
{looks}
```
"""


def _acting(last: int) -> str:
    return f"""
## Move the lead away from a leader that is ill

Take `leader` and `term` from the answers above (the highest term counts), P the leader's admin
port and NODE the number of the next leader, 0 to {last}. A fence that is out of date is refused
with 409.

```sh
curl -sm 5 -H "$A" -d '{{"to": NODE, "fence": {{"leader": L, "term": T}}}}' http://{HOST}:P/transfer
```

Keep it from coming back (P: its own admin port), and let it lead again:

```sh
curl -sm 5 -H "$A" -d '{{"on": true}}' http://{HOST}:P/drain
curl -sm 5 -H "$A" -d '{{"on": false}}' http://{HOST}:P/drain
```

## Take back what a drill did

Switches inside a node end by themselves within a minute. To end them now:

```sh
curl -sm 5 -X DELETE -H "$A" http://{HOST}:P/faults
```

A node that answers nothing may be stopped (state `T` in `ps -o pid,stat,cmd -p PID`):

```sh
kill -CONT PID
```

A node that stays silent: `kill -9 PID`. The supervisor starts it again; without a supervisor,
`make up` takes over what still runs and starts the rest. No acknowledged write is on one node
alone.
"""
