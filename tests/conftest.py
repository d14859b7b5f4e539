"""Hypothesis profiles, chosen by the environment variable HYPOTHESIS_PROFILE: quick (default), ci, thorough.

quick and ci draw the same cases in every run and keep no database, so that a failure is there again in the next
run and on the next machine. thorough draws new ones and prints the line that pins a failure down.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

slow_is_fine = [HealthCheck.too_slow]

settings.register_profile("quick", max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=slow_is_fine)
settings.register_profile("ci", max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=slow_is_fine)
settings.register_profile("thorough", max_examples=1000, deadline=None, print_blob=True, suppress_health_check=slow_is_fine)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Send all tests of one operation to one worker: derivations and proofs are made once in a process."""
    for item in items:
        name = getattr(item, "callspec", None) and item.callspec.params.get("name")
        if isinstance(name, str) and item.path.parent.name == "derivations":
            item.add_marker(pytest.mark.xdist_group(name))
