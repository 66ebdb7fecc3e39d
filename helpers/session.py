"""``connect``: one call that decides where a notebook's requests go.

In replay a stand-in answers them. This module seeds its account for the step, intercepts the HTTP
libraries and closes the network; whatever it opens, ``close`` undoes. The cells stay the same in
each mode: they get a credential, a trace of what was sent, and a ledger of what was created.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from .clock import Clock
from .environment import check_environment, set_aside_keys
from .faults import Faults
from .ledger import Ledger
from .message import Request, Response
from .parameters import OneSentence, Rule, check_all, check_names, injected_names, text
from .trace import Trace
from .tracebacks import mask_tracebacks
from .transport import Interceptor, SendOn

_STEP = Rule(
    "1, 2, 3 or 4, the number of the notebook",
    lambda value: type(value) is int and value in range(1, 5),
    lambda value: (step for step in range(1, 5) if str(value).strip() == str(step)),
)
# https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-createuser
_USER_NAME = text("[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, '.', '_' and '-'")
_POLICIES = Rule(
    "a list of policy documents, each of them a dictionary",
    lambda value: isinstance(value, list | tuple) and all(isinstance(p, Mapping) for p in value),
    lambda value: [[value]] if isinstance(value, Mapping) else [],
)
_current: list[Session] = []


class ReplayOnly(OneSentence):
    """What only the stand-in can do: make a RAM user on the spot, move the clock."""


class SessionClosed(OneSentence):
    """The session was closed, or ``connect`` has opened another; it answers nothing any more."""


class Session:
    """Where this notebook's requests go, and what is known about them.

    ``credential`` signs as the account's administrator. ``trace`` holds the exchanges so far,
    masked, ``ledger`` what was created. ``clock`` and ``faults`` are for replay.
    """

    def __init__(self, mode: str, step: int) -> None:
        self.mode = mode
        self.step = step
        self.credential: Any = None
        self.trace = Trace()
        self.clock = Clock(lambda: self._only_in_replay("clock.advance moves the time"))
        self.ledger = Ledger()
        self._faults: Faults
        self._sandbox: Any = None
        self._undo = ExitStack()
        self._undo.callback(self.clock.reset)

    @property
    def faults(self) -> Faults:
        """The faults that a request may meet. Raises ReplayOnly in live mode."""
        self._only_in_replay("faults are made by the stand-in")
        return self._faults

    def sign_in_as(self, user_name: str, policies: Sequence[Mapping[str, Any]]) -> Any:
        """The credential of a RAM user that has these policies and no other rights.

        A user of that name is made, or loses the policies it had. Raises ReplayOnly in live mode,
        ParameterError for a name that RAM does not take, PolicyError for a document that is no
        policy.
        """
        self._only_in_replay("sign_in_as makes a RAM user")
        from .policy import parse
        from .sandbox.scenario import add_user

        _USER_NAME.check("user_name", user_name)
        named = {
            f"{user_name}-{number}": policy
            for number, policy in enumerate(_POLICIES.check("policies", policies), 1)
        }
        for name, policy in named.items():
            parse(policy, name=name)
        documents = {name: json.dumps(policy) for name, policy in named.items()}
        return _credential(add_user(self._sandbox.account, user_name, documents))

    def wait_until(
        self, status: Callable[[], str | None], wanted: str, seconds: float = 300
    ) -> str | None:
        """Ask ``status()`` until it is ``wanted`` or None (gone), and return it.

        Raises TimeoutError after ``seconds``. In replay nothing sleeps: the clock moves on.
        """
        if self.mode != "replay":
            from .live import poll

            return poll(status, wanted, seconds)
        end = self.clock.now().timestamp() + seconds
        while (found := status()) not in (wanted, None):
            if self.clock.now().timestamp() >= end:
                raise TimeoutError(f"still {found} after {seconds:g} s, not {wanted}")
            self.clock.advance(seconds=5)
        return found

    def close(self) -> None:
        """Undo what ``connect`` did to this process: HTTP, network, clock. Can be called twice."""
        self._undo.close()
        if self in _current:
            _current.remove(self)

    def _install(self, interceptor: Interceptor) -> None:
        self._undo.callback(interceptor.close)
        interceptor.install()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self not in _current:
            return "Closed: requests leave as if connect had never run. Call helpers.connect again."
        where = (
            "answered on this machine, nothing leaves it"
            if self.mode == "replay"
            else "sent to your account"
        )
        return f"Connected for step {self.step} in {self.mode} mode: requests are {where}."

    def _only_in_replay(self, what: str) -> None:
        if self.mode != "replay":
            raise ReplayOnly(f"{what}, which is for replay: {self.mode} mode does not do it.")
        if self not in _current:
            raise SessionClosed(f"{what}, but this session is closed: run helpers.connect again.")


def connect(step: int, mode: str = "replay", **parameters: Any) -> Session:
    """Check the parameters, then decide where this process's requests go from now on.

    ``step`` is the notebook's number, 1 to 4: in replay the account is in the state that the
    earlier ones leave, for the names in ``parameters``. ``mode`` is ``"replay"``, ``"live"`` or
    ``"record"``. Calling it again starts over. Raises ParameterError with one sentence.
    """
    check_environment()
    _STEP.check("step", step)
    given = {"mode": mode, **parameters}
    check_all(given)
    check_names(_injected(), given)
    for session in list(_current):
        session.close()
    session = Session(mode, step)
    _current.append(session)  # first of all, so that an interrupted cell leaves nothing behind
    with ExitStack() as on_failure:
        on_failure.callback(session.close)
        set_aside_keys(session._undo)
        mask_tracebacks(session._undo)
        _keep_protocol(session._undo)
        (_replay if mode == "replay" else _live)(session, parameters)
        on_failure.pop_all()
    return session


def _keep_protocol(undo: ExitStack) -> None:
    """Notebooks tell the SDK to use https; after ``close`` it uses again what it used before."""
    sdk = sys.modules.get("aliyunsdkcore.request")
    before = sdk.get_default_protocol_type() if sdk else "http"  # with which it starts

    def restore() -> None:
        if sdk := sys.modules.get("aliyunsdkcore.request"):
            sdk.set_default_protocol_type(before)

    undo.callback(restore)


def _injected() -> set[str]:
    """Names that papermill injected into this kernel: a misspelt one is only a warning to it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return injected_names(shell.user_ns) if shell else set()


def _replay(session: Session, parameters: Mapping[str, Any]) -> None:
    from .recordings import load
    from .sandbox.sandbox import Sandbox
    from .sandbox.scenario import account_before, names_from

    account = account_before(session.step, names_from(parameters), session.clock.now())
    sandbox = session._sandbox = Sandbox(account, load())
    session.credential = _credential(next(iter(account.access_keys.values())))

    def exchange(request: Request, send_on: SendOn) -> Response:
        return session.ledger.watch(request, lambda: sandbox.handle(request, session.clock.now()))

    session._faults = Faults(
        lambda request, code: sandbox.refuse(request, session.clock.now(), code)
    )
    session._install(Interceptor(exchange, session.trace, session._faults, offline=True))


def _live(session: Session, parameters: Mapping[str, Any]) -> None:
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import set_default_protocol_type

    from . import live
    from .live.gate import Gate

    live.check_charge(parameters)
    session.credential = live.credential(session.step, parameters["role_name"])
    live.check_instance(session.step)
    set_default_protocol_type("https")
    if session.step in live.CREATES:
        client = AcsClient(region_id=parameters["region_id"], credential=session.credential)
        session.ledger, identity = live.ledger_of(client)
        print(live.announcement(session.step, identity, parameters, session.ledger.file))
    recorder = None
    if session.mode == "record":
        recorder = live.recorder(parameters, session.ledger.account)
    gate = Gate(session.ledger, parameters.get("accept_charge", False), recorder)
    session._install(Interceptor(gate.exchange, session.trace))


def _credential(key: Any) -> Any:
    from aliyunsdkcore.auth.credentials import AccessKeyCredential

    return AccessKeyCredential(key.access_key_id, key.secret)
