"""What a notebook imports: ``connect``, the checks of the exercises, and what shows the results."""

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
