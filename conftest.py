"""For all tests: one environment for every kernel, and no notebook cell that passes unread."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import hypothesis
import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager
from nbval.plugin import IPyNbCell

from helpers.runs import kernel_sockets
from tests.notebooks.store import ENVIRONMENT, SANITIZE

os.environ.update(ENVIRONMENT)
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """nbval has no setting for the transport, and on TCP parallel processes race for ports."""
    stack = contextlib.ExitStack()
    config.add_cleanup(stack.close)

    def kernel_manager(**kwargs: Any) -> KernelManager:
        return KernelManager(config=stack.enter_context(kernel_sockets()), **kwargs)

    nbval.kernel.KernelManager = kernel_manager
    config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(SANITIZE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """nbval passes a cell without stored execution count, whatever it prints."""
    if isinstance(item, IPyNbCell) and item.cell.execution_count is None and item.cell.source:
        pytest.fail("This cell was never executed, so nothing was compared: run `make notebooks`.")
