"""The version of a package is that of whichever of its distributions is installed."""

from __future__ import annotations

from importlib import metadata

import pytest

from rlmem.versions import installed_version


@pytest.mark.parametrize("installed", ["pybullet", "pybullet-arm64"])
def test_the_simulator_is_found_by_either_of_its_distributions(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != installed:
            raise metadata.PackageNotFoundError(name)
        return "3.2.9"

    monkeypatch.setattr(metadata, "version", version)
    assert installed_version("pybullet") == "3.2.9"
    assert installed_version("numpy") is None
