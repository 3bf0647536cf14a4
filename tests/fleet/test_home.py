"""The home folder is made once, privately, and never changed under a running cluster."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from storage_core.config import SettingError, Settings
from storage_core.fleet.home import SECRET_NAMES, lock_home, prepare_home
from storage_core.fleet.registry import read_registry


@pytest.fixture
def settings_at(tmp_path: Path) -> Callable[..., Settings]:
    def make(home: Path = tmp_path / "home", nodes: int = 3) -> Settings:
        return Settings.from_environment({"HOLDFAST_HOME": str(home), "HOLDFAST_NODES": str(nodes)})

    return make


def test_secrets_are_for_their_owner_only_and_stay_the_same(
    settings_at: Callable[..., Settings],
) -> None:
    settings = settings_at()
    prepare_home(settings)
    before = {name: (settings.secrets / name).read_text() for name in SECRET_NAMES}

    prepare_home(settings)

    assert {name: (settings.secrets / name).read_text() for name in SECRET_NAMES} == before
    assert all((settings.secrets / name).stat().st_mode & 0o777 == 0o600 for name in SECRET_NAMES)
    assert settings.home.stat().st_mode & 0o077 == 0
    assert min(len(secret) for secret in before.values()) >= 64


def test_a_cluster_keeps_its_identity(settings_at: Callable[..., Settings]) -> None:
    first, second = prepare_home(settings_at()), prepare_home(settings_at())

    assert first == second
    assert 0 < first.cluster_id < 1 << 64
    assert json.loads((settings_at().home / "cluster.json").read_text())["group_id"] == 1


def test_another_number_of_nodes_is_refused_by_name(settings_at: Callable[..., Settings]) -> None:
    prepare_home(settings_at(nodes=3))

    with pytest.raises(SettingError, match="HOLDFAST_NODES"):
        prepare_home(settings_at(nodes=5))


def test_a_home_too_deep_for_unix_sockets_is_refused_by_name(
    settings_at: Callable[..., Settings], tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="HOLDFAST_HOME"):
        prepare_home(settings_at(home=tmp_path / ("deep" * 30)))


def test_only_one_supervisor_holds_a_home(settings_at: Callable[..., Settings]) -> None:
    prepare_home(settings_at())

    assert lock_home(settings_at()) is not None
    assert lock_home(settings_at()) is None


@pytest.mark.parametrize("text", ["", "torn {", "[]", '{"web": {"pid": "x"}}', '{"web": 7}'])
def test_a_registry_that_cannot_be_read_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "registry.json").write_text(text)

    assert read_registry(tmp_path / "registry.json") == {}
