"""A notebook's tracebacks without secrets: an SDK's exception often quotes the URL that it signed.

What nobody catches is shown by IPython and then saved in the notebook. It is masked on the way,
in the output and in the kernel's reply alike, which nbclient turns into an error of its own.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

from .masking import mask_text


def mask_tracebacks(undo: ExitStack) -> None:
    """In a kernel: mask whatever a cell raises, until ``undo`` is closed. Elsewhere: nothing."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    if not hasattr(shell, "_showtraceback"):
        return
    show = shell._showtraceback

    def show_masked(kind: type[BaseException], error: BaseException, lines: list[str]) -> None:
        show(kind, _masked(error), [mask_text(line) for line in lines])

    def mask_reply(result: Any) -> None:
        if result.error_in_exec is not None:
            result.error_in_exec = _masked(result.error_in_exec)

    shell._showtraceback = show_masked
    undo.callback(delattr, shell, "_showtraceback")
    shell.events.register("post_run_cell", mask_reply)
    undo.callback(shell.events.unregister, "post_run_cell", mask_reply)


def _masked(error: BaseException) -> BaseException:
    """``error`` itself, or one of the same name with the masked text."""
    text = mask_text(str(error))
    return error if text == str(error) else type(type(error).__name__, (Exception,), {})(text)
