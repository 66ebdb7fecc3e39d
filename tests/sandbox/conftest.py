"""The stage that the tests of the stand-in's services play on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.in_process import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The account before step 1: an instance and a bucket, no role."""
    with staged(step=1) as stage:
        yield stage
