"""What a notebook imports: ``connect``, and what shows a learner the result.

Each display is made on first use, so that ``import helpers`` costs next to nothing.
"""

from . import check
from .display import (
    exchanges,
    explain,
    masked,
    sequence,
    show_ledger,
    signed_request,
    timeline,
    what_if,
)
from .session import ReplayOnly, connect

__all__ = [
    "ReplayOnly",
    "check",
    "connect",
    "exchanges",
    "explain",
    "masked",
    "sequence",
    "show_ledger",
    "signed_request",
    "timeline",
    "what_if",
]
