"""Which versions of packages are installed."""

from __future__ import annotations

from importlib import metadata

_BUILDS = {"pybullet": ("pybullet", "pybullet-arm64")}
"""Packages of more than one distribution, of which one is installed: which, the Python and the processor decide."""


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, None if it is not installed."""
    for distribution in _BUILDS.get(package, (package,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
