"""A real account behind the same cells, with what keeps that safe.

Before anything is sent: where the key comes from, whether this is the instance, who you are, what
the notebook will create, what it costs and how it is undone. Afterwards each request passes the
gate (``helpers/live/gate.py``), and waiting is real.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ledger import Ledger, ledger_file
from ..masking import mask_text
from ..parameters import ParameterError
from ..trace import METADATA_HOST
from .gate import Stopped

if TYPE_CHECKING:
    from .recorder import Recorder

KEY_ID, SECRET, TOKEN = (
    f"ALIBABA_CLOUD_{name}" for name in ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")
)
NOTEBOOKS = {3: "03_get_sts_credentials", 4: "04_access_oss"}
CREATES: Mapping[int, tuple[str, ...]] = {
    1: ("RAM role {role_name}: free", "RAM policy {policy_name}, on that role: free"),
    2: ("RAM role {role_name:.60}-fc, for a refusal: free",),
}
BY_METHOD = {
    "attach": ("role {role_name} on instance {instance_id}: free",),
    "create": (
        "ECS instance ({instance_type}, public address): BILLS FROM NOW ON, until it is deleted",
        "rule of security group {security_group_id} that opens port 22: free",
    ),
}


def credential(step: int, role_name: str) -> Any:
    """The SDK's credential: from the environment, else the role's own on an instance.

    Notebooks 3 and 4 (``step``) can do without a key. Raises Stopped if one is missing.
    """
    from aliyunsdkcore.auth import credentials

    key = [os.environ.get(name, "") for name in (KEY_ID, SECRET)]
    token = os.environ.get(TOKEN)
    if not any(key) and step in NOTEBOOKS:
        return credentials.EcsRamRoleCredential(role_name)
    if not all(key):
        missing = " and ".join(
            n for n, value in zip((KEY_ID, SECRET), key, strict=True) if not value
        )
        raise Stopped(
            f"{missing} must be set in the environment before Jupyter or papermill starts, as in "
            f"`export {KEY_ID}=… {SECRET}=…`, for an STS credential {TOKEN} too; best the key of "
            "a RAM user with the policy that `python -m helpers policy` prints."
        )
    return (
        credentials.StsTokenCredential(*key, token)
        if token
        else credentials.AccessKeyCredential(*key)
    )


def check_instance(step: int, seconds: float = 1.5) -> None:
    """Raise Stopped for notebooks 3 and 4 if the metadata address does not answer here."""
    if step not in NOTEBOOKS:
        return
    try:
        socket.create_connection((METADATA_HOST, 80), seconds).close()
    except OSError:
        raise Stopped(
            f"{METADATA_HOST} does not answer, so this is no ECS instance, and in live mode "
            f"notebook {step:02} must run on the one with the role: copy this repository there and "
            f"run `papermill notebooks/{NOTEBOOKS[step]}.ipynb out.ipynb -p mode live` "
            '(README, "With your own account").'
        ) from None


def check_charge(parameters: Mapping[str, Any]) -> None:
    """Raise ParameterError for a method that creates an instance without ``accept_charge``."""
    method = parameters.get("method", "attach")
    if method != "attach" and not parameters.get("accept_charge"):
        raise ParameterError(
            f"method is {method!r}, which in live mode creates an instance that bills until you "
            "delete it; set accept_charge to True to accept that, or method to 'attach'."
        )


def caller(client: Any) -> Mapping[str, str]:
    """GetCallerIdentity. Raises Stopped with one sentence if STS does not accept the key."""
    from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
    from aliyunsdkcore.request import CommonRequest

    request = CommonRequest("sts.aliyuncs.com", "2015-04-01", "GetCallerIdentity")
    request.set_protocol_type("https")
    try:
        identity: Mapping[str, str] = json.loads(client.do_action_with_exception(request))
    except (ClientException, ServerException) as error:
        raise Stopped(
            f"STS did not say whose key {KEY_ID} holds: {error.get_error_code()}, "
            f"{mask_text(str(error.get_error_msg())):.200}"
        ) from None
    return identity


def announcement(
    step: int, identity: Mapping[str, str], parameters: Mapping[str, Any], ledger: Path | None
) -> str:
    """Who you are, what the notebook will create, what it costs, and how it is undone."""
    method = parameters.get("method", "")
    items = CREATES[step] + tuple(
        item
        for name in BY_METHOD
        if step == 2 and method in (name, "both")
        for item in BY_METHOD[name]
    )
    return "\n".join(
        [
            f"You are {identity['Arn']} in account {identity['AccountId']}, "
            f"region {parameters['region_id']}. This notebook will create:",
            *(f"  - {item.format(**parameters)}" for item in items),
            'Undone by its section "Clean up", or at any time by `python -m helpers clean-up`, '
            f"which reads {ledger}.",
        ]
    )


def poll(status: Callable[[], str | None], wanted: str, seconds: float) -> str | None:
    """Ask ``status()`` with growing pauses and a progress bar until it is ``wanted`` or None."""
    from tqdm import tqdm

    started, pause = time.monotonic(), 0.5
    with tqdm(total=round(seconds), unit="s", bar_format="{desc} {bar} {n}/{total} s") as bar:
        while (found := status()) not in (wanted, None):
            waited = time.monotonic() - started
            bar.set_description_str(f"{found}, waiting for {wanted}")
            bar.update(round(waited) - bar.n)
            if waited >= seconds:
                raise TimeoutError(f"still {found} after {seconds:g} s, not {wanted}")
            time.sleep(pause)
            pause = min(pause * 1.5, 10.0)
        bar.set_description_str(str(found or "gone"))
    return found


def ledger_of(client: Any) -> tuple[Ledger, Mapping[str, str]]:
    """The ledger on disk for the account that ``client`` calls, and who calls."""
    identity = caller(client)
    return Ledger(ledger_file(), identity["AccountId"]), identity


def recorder(parameters: Mapping[str, Any], account: str) -> Recorder:
    """What writes recordings to ``build/recordings``, beside the ledger's folder."""
    from importlib.metadata import version

    from ..environment import NEEDED
    from .recorder import Recorder

    source = {
        "source": "an account of the person who recorded it",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "region": parameters["region_id"],
        "sdk": ", ".join(f"{name} {version(name)}" for name in NEEDED),
    }
    folder = ledger_file().parent.parent / "build" / "recordings"
    return Recorder(folder, parameters, account, source)
