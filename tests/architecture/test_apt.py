"""What can't run here is named, and is a failure in CI."""

from __future__ import annotations

import pytest

from tests.apt import LIST, exit_code, left_out, read_groups

GROUPS = read_groups(LIST.read_text(encoding="utf-8"))


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.title.split(":")[0])
def test_each_group_that_lacks_a_package_is_left_out_by_name(group: object) -> None:
    assert isinstance(group, type(GROUPS[0]))

    (line,) = left_out(GROUPS, [group.packages[0]], mounts=True)

    assert line == f"left out: {group.title} (missing: {group.packages[0]})"
    assert (exit_code([line], {"CI": "true"}), exit_code([line], {})) == (1, 0)


def test_the_right_to_mount_is_missed_like_a_package() -> None:
    (line,) = left_out(GROUPS, [], mounts=False)

    assert "stalled disk" in line and "the right to mount" in line
    assert exit_code([line], {"CI": "true"}) == 1


def test_where_nothing_lacks_nothing_fails() -> None:
    lines = left_out(GROUPS, [], mounts=True)

    assert (lines, exit_code(lines, {"CI": "true"})) == ([], 0)
