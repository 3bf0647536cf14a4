"""A part that only beats. Usage: python -m tests.fleet.tiny_part NAME

While the file `fails-NAME` is in the home it ends with exit code 3 instead; while `deaf-NAME` is
there it ignores SIGTERM. It starts a child of its own, as a pool of workers does.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from storage_core.fleet.beats import BeatSender


def main() -> int:
    name, home = sys.argv[1], Path(os.environ["HOLDFAST_HOME"])
    if (home / f"fails-{name}").exists():
        sys.stderr.write("this part was told to fail\n")
        return 3
    if (home / f"deaf-{name}").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"])
    sender = BeatSender(home / "run", name)
    while child.poll() is None:
        sender.send(role="", ready=True)
        time.sleep(0.1)
    return 1


sys.exit(main())
