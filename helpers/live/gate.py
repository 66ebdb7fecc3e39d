"""What every request to a real account passes: unsafe ones stop here, with a sentence.

Stopped are plain http, and an instance that nobody accepted to pay for, that was not tried in a dry
run, or that a repetition could buy twice. What goes through is entered in the ledger before it is
sent. Nothing is answered here, nothing is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..ledger import Ledger
from ..message import Request, Response
from ..parameters import OneSentence
from ..trace import describe

if TYPE_CHECKING:
    from .recorder import Recorder

# New in every request, or what tells a dry run from the real one.
_FORM = {"ClientToken", "DryRun", "Signature", "SignatureNonce", "Timestamp"}


class Stopped(OneSentence):
    """A request that would be unsafe was not sent."""


class Gate:
    """Lets safe requests through to the account and enters in the ledger what they create."""

    def __init__(
        self, ledger: Ledger, accept_charge: bool, recorder: Recorder | None = None
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._accept_charge = accept_charge
        self._tried: set[frozenset[tuple[str, str]]] = set()

    def exchange(self, request: Request, send_on: Callable[[], Response]) -> Response:
        """The account's answer. Raises Stopped for a request that must not be sent."""
        if request.scheme == "http" and request.host.endswith(".aliyuncs.com"):
            raise Stopped(
                f"{request.host} was addressed over plain http, where everybody on the way reads "
                "along: write https://, for an AcsClient call set_default_protocol_type('https')."
            )
        self._check_creation(request)
        response = self._ledger.watch(request, send_on)
        if _is_dry(request) and b'"DryRunOperation"' in response.body:
            self._tried.add(_asked(request))
        if self._recorder:
            self._recorder.keep(request, response)
        return response

    def _check_creation(self, request: Request) -> None:
        operation = describe(request)[1]
        if operation == "RunInstances":
            raise Stopped("RunInstances was not sent: the ledger only follows CreateInstance.")
        if operation != "CreateInstance" or _is_dry(request):
            return
        if not self._accept_charge:
            raise Stopped("CreateInstance was not sent, since accept_charge is not True.")
        if not request.parameters.get("ClientToken"):
            raise Stopped(
                "CreateInstance was not sent without a ClientToken, because the SDK repeats a call "
                "whose answer is lost: set_ClientToken(str(uuid.uuid4()))."
            )
        if _asked(request) not in self._tried:
            raise Stopped(
                "CreateInstance was not sent, since no dry run of the same parameters has passed: "
                "call it once after set_DryRun(True)."
            )


def _is_dry(request: Request) -> bool:
    return request.parameters.get("DryRun", "").lower() == "true"


def _asked(request: Request) -> frozenset[tuple[str, str]]:
    return frozenset(pair for pair in request.parameters.items() if pair[0] not in _FORM)
