"""Remove what runs have left in a real account: what the ledger lists, the newest first.

Each entry is undone by the operation that its kind names. One whose answer never came is looked for
first: an instance by its tag, an attachment where it would be; a role or a policy counts as ours
only if it is not older than the request, since a name can have been there before. What is gone
already is done. What cannot be removed stays in the ledger, so the command can be run again.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from .. import live
from ..environment import set_aside_keys
from ..kinds import GONE
from ..ledger import CREATED, REMOVED, UNCERTAIN, Entry, Ledger
from ..masking import mask_text
from .gate import Stopped

MODULES = {"ecs": "aliyunsdkecs.request.v20140526", "ram": "aliyunsdkram.request.v20150501"}
SKEW = timedelta(minutes=15)  # how far a signature's time may be off the service's
NOT_YET_SEEN = timedelta(minutes=5)  # an instance may take a while until it is listed
NEVER_THERE = "InvalidNetworkType.MismatchRamRole"  # such an instance carries no role
# An instance in between two states is deleted a little later.
BUSY = "IncorrectInstanceStatus"


class Remover:
    """Removes entries of the ledger from the account whose key is in the environment.

    Raises Stopped if there is no key, or one that STS does not accept.
    """

    def __init__(self) -> None:
        set_aside_keys(ExitStack())  # for as long as this process lives
        self._credential = live.credential(1, "")
        self._ledger, _ = live.ledger_of(self._client("cn-hangzhou"))

    def _client(self, region_id: str) -> Any:
        from aliyunsdkcore.client import AcsClient

        return AcsClient(region_id=region_id or "cn-hangzhou", credential=self._credential)

    def left(self) -> list[Entry]:
        """What can be removed: only what this account has."""
        return [each for each in self._ledger.left() if each.account == self._ledger.account]

    def remove(self, entry: Entry) -> str:
        """Remove ``entry`` and return "", or a sentence on why it is still there."""
        from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

        client = self._client(entry.region)
        try:
            for found in _found(self._ledger, entry, client):
                _undo(found, client)
        except (ClientException, ServerException) as error:
            code = error.get_error_code()
            if not (GONE.fullmatch(code) or code == NEVER_THERE):
                return mask_text(f"{error.get_error_code()}: {error.get_error_msg()}")
        except Stopped as stopped:
            return str(stopped)
        self._ledger.settle(entry, REMOVED)
        return ""


def call(client: Any, service: str, action: str, **parameters: str) -> Any:
    """One call that no notebook makes. Raises the SDK's ClientException and ServerException."""
    module = import_module(f"{MODULES[service]}.{action}Request")
    request = getattr(module, f"{action}Request")()
    request.set_protocol_type("https")
    for name, value in parameters.items():
        request.add_query_param(name.replace("_", "."), value)
    return json.loads(client.do_action_with_exception(request))


def _undo(entry: Entry, client: Any) -> None:
    from aliyunsdkcore.acs_exception.exceptions import ServerException

    extra = {"ECS instance": {"Force": "true"}, "RAM policy": {"CascadingDelete": "true"}}
    parameters = {**entry.names, **extra.get(entry.resource, {})}
    pause = 0.5
    while True:
        try:
            call(client, entry.kind.service, entry.kind.undone_by, **parameters)
        except ServerException as error:
            if not error.get_error_code().startswith(BUSY) or pause > 60:
                raise
            time.sleep(pause)
            pause *= 2
        else:
            return


def _found(ledger: Ledger, entry: Entry, client: Any) -> list[Entry]:
    """``entry``, or what an uncertain one turns out to be. Raises Stopped if that is open."""
    if entry.state != UNCERTAIN or not entry.kind.looked_for_by:
        return [entry]
    if entry.kind.looked_for_by == "DescribeInstances":
        return _by_tag(ledger, entry, client)
    return [entry] if _is_there(entry, client) else []


def _is_there(entry: Entry, client: Any) -> bool:
    reading = entry.kind.looked_for_by
    names = {"PolicyType": "Custom", **entry.names} if reading == "GetPolicy" else entry.names
    if reading == "ListPoliciesForRole":
        names = {"RoleName": entry.names["RoleName"]}
    answer = call(client, entry.kind.service, reading, **names)
    if reading in ("GetRole", "GetPolicy"):
        made = datetime.fromisoformat(answer[reading[3:]]["CreateDate"].replace("Z", "+00:00"))
        return made > datetime.fromisoformat(entry.at) - SKEW
    lists = (
        each for value in answer.values() if isinstance(value, dict) for each in value.values()
    )
    rows = [row for rows in lists for row in rows]
    return any(all(row.get(n, v) == v for n, v in entry.names.items()) for row in rows)


def _by_tag(ledger: Ledger, entry: Entry, client: Any) -> list[Entry]:
    if not entry.tag:
        raise Stopped(
            "whether this instance exists is not known, and it was sent without a tag that would "
            f"find it: look in the console for one created in {entry.region} at {entry.at}."
        )
    wanted = {"Tag_1_Key": entry.tag[0], "Tag_1_Value": entry.tag[1]}
    _check_may_list(client, wanted)
    instances = call(client, "ecs", "DescribeInstances", **wanted)["Instances"]["Instance"]
    age = datetime.now().astimezone() - datetime.fromisoformat(entry.at)
    if not instances and age < NOT_YET_SEEN:
        raise Stopped("no instance with its tag is listed yet; run this again in five minutes.")
    found = [entry._replace(names={"InstanceId": each["InstanceId"]}) for each in instances]
    for each in found:
        ledger.settle(each, CREATED)
    return found


def _check_may_list(client: Any, wanted: dict[str, str]) -> None:
    """Who may not list instances gets an empty list, but in a dry run a refusal.

    https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describeinstances
    """
    from aliyunsdkcore.acs_exception.exceptions import ServerException

    try:
        call(client, "ecs", "DescribeInstances", DryRun="true", **wanted)
    except ServerException as error:
        if error.get_error_code() != "DryRunOperation":
            raise
