"""The server over Ray Serve, in the environment that has it; skipped, and said so, in any other."""

import importlib.util

import pytest

from tests.apps.conftest import experiment, reference, voiced  # noqa: F401 (fixtures)


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec("ray") is None:
        skip = pytest.mark.skip(reason="ray is not installed: bash tools/test_overlay.sh cluster")
        for item in items:
            if "tests/cluster" in item.nodeid:
                item.add_marker(skip)
