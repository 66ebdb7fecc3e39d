"""The least that a RAM user must be allowed to run notebooks 01 and 02 live and to clean up.

Nobody keeps a list: both notebooks run in replay, and their trace says which operations were called
on what. Which resources an operation asks for is in the stand-in's operation tables. The account's
id becomes ``*``, and so does the id of an instance that a run creates.
"""

from __future__ import annotations

import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..kinds import KINDS
from ..policy import matches
from ..runs import check_parameters, code_cells, find_notebooks
from ..sandbox.access import Principal
from ..sandbox.account import Account
from ..sandbox.rpc import Call
from ..sandbox.sandbox import RPC_SERVICES

Access = tuple[str, str]  # an action and a resource
OPERATIONS = {name: each for each in RPC_SERVICES for name in each.operations}
NOBODY = Principal("", "", "", "", "")
TO_ECS = {"StringEquals": {"acs:Service": "ecs.aliyuncs.com"}}


def minimal_policy(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The policy for notebooks 01 and 02 with these parameters: a statement for each resource set.

    Raises ValueError with one sentence for a parameter that is wrong.
    """
    resources_of = defaultdict(set)
    for action, resource in accesses(parameters):
        resources_of[action].add(resource)
    actions_on = defaultdict(list)
    for action, resources in sorted(resources_of.items()):
        key = action == "ram:PassRole", tuple(sorted(filter(_uncovered(resources), resources)))
        actions_on[key].append(action)
    return {
        "Version": "1",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": actions,
                "Resource": list(resources),
                **({"Condition": TO_ECS} if is_passing else {}),
            }
            for (is_passing, resources), actions in actions_on.items()
        ],
    }


def _uncovered(resources: set[str]) -> Callable[[str], bool]:
    """Whether no other of ``resources`` is a pattern that a resource matches."""
    return lambda one: not any(matches(one, other) for other in resources if other != one)


def accesses(parameters: Mapping[str, Any]) -> Iterator[Access]:
    """Every action and resource for which the notebooks and the clean-up after them are checked."""
    notebooks = find_notebooks(only=("01", "02"))
    check_parameters(parameters, notebooks)
    for notebook in notebooks:
        session = _replayed(notebook, parameters)
        account, entries = session._sandbox.account, list(session.ledger)
        calls: list[Mapping[str, str]] = [each.request.parameters for each in session.trace]
        calls += [{"Action": entry.kind.undone_by, **entry.names} for entry in entries]
        calls += list(map(_looked_for, calls))
        unknown = {account.account_id, *(entry.id for entry in entries if entry.bills)}
        unknown |= {network["VpcId"] for network in account.v_switches.values()}
        for sent in calls:
            for action, resource in _needed(account, sent):
                parts = re.split("([:/])", resource)
                yield action, "".join("*" if part in unknown else part for part in parts)


def _replayed(notebook: Path, parameters: Mapping[str, Any]) -> Any:
    """The session of a notebook whose cells have run here, in replay."""
    namespace: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        for cell in code_cells(notebook):
            exec("".join(cell["source"]), namespace)
            if "parameters" in cell["metadata"].get("tags", []):
                known = {name: value for name, value in parameters.items() if name in namespace}
                namespace.update(known, mode="replay", clean_up=True)
    namespace["cloud"].close()
    return namespace["cloud"]


def _looked_for(sent: Mapping[str, str]) -> Mapping[str, str]:
    """What clean-up asks where the answer to ``sent`` never came; the request itself otherwise."""
    asked = (kind.looked_for_by for kind in KINDS if kind.made_by == sent["Action"])
    return {**sent, "Action": next(asked, "") or sent["Action"]}


def _needed(account: Account, sent: Mapping[str, str]) -> Iterator[Access]:
    service = OPERATIONS[sent["Action"]]
    call = Call(account, NOBODY, sent, {}, datetime.now(timezone.utc))
    for resource in service.operations[sent["Action"]].resources(call):
        yield f"{service.name}:{sent['Action']}", resource
    if "RamRoleName" in sent and sent["Action"] in ("AttachInstanceRamRole", "CreateInstance"):
        yield "ram:PassRole", account.role_arn(sent["RamRoleName"])


def as_text(policy: Mapping[str, Any]) -> str:
    """The policy as JSON, a line for each statement."""
    statements = ",\n    ".join(map(json.dumps, policy["Statement"]))
    return f'{{\n  "Version": "1",\n  "Statement": [\n    {statements}\n  ]\n}}'
