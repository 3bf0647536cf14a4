"""Bring the Debian packages that tests need, or say what is left out.

Some tests drive tools that pip can't bring: another interpreter, a browser, a tracer. They come in
groups, each with its reason. Where this process may install packages (root, or sudo without a
password) it does, once; elsewhere it names each group left out, and in CI that is a failure: a
test that silently didn't run must never look green. One group needs a right that can't be
installed, to mount a disk of its own; where it lacks, the group is left out like any other.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("apt-packages.txt")
INSTALL_SECONDS_MAX = 900
MOUNTS = "stalled disk"
"""The group that needs the right to mount, by the first words of its title."""
CAP_SYS_ADMIN = 21


class Group(NamedTuple):
    """Packages that one kind of test needs, and why."""

    title: str
    packages: tuple[str, ...]


def read_groups(text: str) -> list[Group]:
    """The groups of the list, in its order."""
    groups: list[Group] = []
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if line.startswith("["):
            groups.append(Group(line.strip("[]"), ()))
        elif line:
            last = groups.pop()
            groups.append(Group(last.title, (*last.packages, line)))
    return groups


def is_installed(package: str) -> bool:
    """Whether Debian's own records say that the package is in place."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f=${db:Status-Status}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() == "installed"


def install_prefix() -> list[str] | None:
    """The words before apt-get, or None where this process may not install."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if allowed.returncode == 0 else None


def install(packages: list[str], prefix: list[str]) -> None:
    """Ask apt once for all of them; what fails shows in the second look."""
    print("installing Debian packages:", " ".join(packages), flush=True)
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        subprocess.run(
            [*apt, *words], stdout=subprocess.DEVNULL, check=False, timeout=INSTALL_SECONDS_MAX
        )


def may_mount() -> bool:
    """Whether this process may mount an image: the kernel's capability, and a loop device."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return bool(held >> CAP_SYS_ADMIN & 1) and Path("/dev/loop-control").exists()


def left_out(groups: Sequence[Group], missing: Sequence[str], *, mounts: bool) -> list[str]:
    """A line for each group whose tests can't run here. `mounts`: this process may."""
    lines = []
    for group in groups:
        lacking = [package for package in group.packages if package in missing]
        if lacking:
            lines.append(f"left out: {group.title} (missing: {' '.join(lacking)})")
        elif group.title.startswith(MOUNTS) and not mounts:
            lines.append(f"left out: {group.title} (missing: the right to mount)")
    return lines


def exit_code(lines: Sequence[str], environment: Mapping[str, str]) -> int:
    """In CI whatever is left out is a failure, also what no package could bring."""
    return 1 if lines and environment.get("CI") == "true" else 0


def main() -> int:
    has_dpkg = shutil.which("dpkg-query") is not None
    groups = read_groups(LIST.read_text(encoding="utf-8"))
    wanted = [package for group in groups for package in group.packages]
    missing = [package for package in wanted if not has_dpkg or not is_installed(package)]
    prefix = install_prefix() if missing else None
    if prefix is not None:
        install(missing, prefix)
        missing = [package for package in missing if not is_installed(package)]
    lines = left_out(groups, missing, mounts=may_mount())
    for line in lines:
        print(line, flush=True)
    return exit_code(lines, os.environ)


if __name__ == "__main__":
    sys.exit(main())
