"""Ten thousand mutated requests: each gets a well-formed answer of its service, or NotModelled.

They start as what real clients send, are changed, and half of them are signed again, so that they
pass the gateway and reach the operations. Each example sends a row of them to one account, whose
state must make sense after every one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from helpers.message import NotModelled, Request, Response
from helpers.sandbox import ecs, ram, sts
from helpers.sandbox.account import Account
from helpers.sandbox.oss_gateway import BUCKET_NAME, MAX_NAME, OPERATIONS
from helpers.sandbox.sandbox import Sandbox
from helpers.trace import describe
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.seeds import RECORDINGS, an_account, seeds, service_of
from tests.fuzz.signing import SCHEMES, signed
from tests.leaks import leaked
from tests.sandbox.in_process import NOW

EXAMPLES, ROW = 200, 10  # a service: five of them make ten thousand


def mutated(random: Random, service: str, keys: list[Any], now: datetime) -> Request:
    """One that is changed up to three times; most are then signed, and some changed again."""
    request = changed(random, random.choice(seeds()[service]), random.choice([0, 1, 1, 1, 2, 3]))
    if scheme := random.choice([*SCHEMES[service], ""]):
        request = signed(request, random.choice(keys), scheme, now)
    return changed(random, request, random.choice([0, 0, 1]))


def changed(random: Random, request: Request, times: int) -> Request:
    for _ in range(times):
        request = random.choice(MUTATIONS)(random, request)
    return request


# What must hold of every answer, and of the account.


def check_answer(request: Request, answer: Response) -> None:
    assert 200 <= answer.status <= 599 and answer.decided
    for name, value in answer.headers.items():
        assert re.fullmatch(r"[\w-]+", name) and not re.search("[\r\n]", value), (name, value)
    if request.method == "HEAD":  # the length is that of a body which is not sent
        return
    assert len(answer.body) == int(answer.headers.get("Content-Length", 0))
    stored = service_of(request) == "oss" and answer.status < 300
    kind = answer.headers.get("Content-Type", "")
    if "json" in kind and not stored:
        assert json.loads(answer.body)
    elif "xml" in kind and not stored:
        ElementTree.fromstring(answer.body)
    if answer.status >= 400 and service_of(request) != "metadata":
        assert b"RequestId" in answer.body and b"Code" in answer.body


def check_secrets(account: Account, text: str) -> None:
    keys = [*account.access_keys.values(), *account.credentials.values()]
    tokens = [one.security_token for one in account.credentials.values()]
    assert not leaked([*(key.secret for key in keys), *tokens], text)


def check_state(account: Account) -> None:
    _check_ids(account)
    for role in account.roles.values():
        assert role.attached.keys() <= account.policies.keys()
        assert 3600 <= role.max_session_duration <= 43_200
    for (kind, name), policy in account.policies.items():
        ids = [version.version_id for version in policy.versions]
        assert (policy.policy_type, policy.name) == (kind, name)
        assert policy.default_version in ids and len(set(ids)) == len(ids) <= 5
    for instance in account.instances.values():
        assert instance.role_name or not instance.session_policy
        assert instance.http_tokens in ("optional", "required")
        assert instance.http_endpoint in ("enabled", "disabled")
    for credential in account.credentials.values():
        assert timedelta(minutes=15) <= credential.expires_at - credential.issued_at
    for bucket in account.buckets.values():
        assert BUCKET_NAME.fullmatch(bucket.name) and bucket.name not in account.foreign_buckets
        assert all(0 < len(key.encode()) <= MAX_NAME for key in bucket.objects)
    assert all(len(rules) <= 200 for rules in account.security_groups.values())


def _check_ids(account: Account) -> None:
    """Each thing stands under its own name, and no two share an id or an address."""
    assert all(name == role.name for name, role in account.roles.items())
    assert all(name == one.instance_id for name, one in account.instances.items())
    assert all(name == one.access_key_id for name, one in account.credentials.items())
    for bucket in account.buckets.values():
        assert all(key == stored.key for key, stored in bucket.objects.items())
    for ids in (
        [role.role_id for role in account.roles.values()],
        [one.security_token for one in account.credentials.values()],
        [one.attributes["PrivateIpAddress"] for one in _in_a_vpc(account)],
        [a for one in _in_a_vpc(account) if (a := one.attributes.get("PublicIpAddress"))],
    ):
        assert len(set(ids)) == len(ids)


def _in_a_vpc(account: Account) -> Iterator[Any]:
    return (one for one in account.instances.values() if one.network_type == "vpc")


@pytest.mark.parametrize("service", ["ram", "sts", "ecs", "metadata", "oss"])
def test_a_mutated_request_is_answered_or_not_modelled(service: str) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(st.randoms(use_true_random=True))
    def send(random: Random) -> None:
        account, keys = an_account()
        sandbox, now = Sandbox(account, RECORDINGS), NOW
        for _ in range(ROW):
            now += timedelta(seconds=random.choice([*8 * [0], 10, 1000, 20_000]))
            request = mutated(random, service, keys, now)
            note(f"{request.method} {request.url} {request.headers} {request.body!r:.500}")
            try:
                answer = sandbox.handle(request, now)
            except NotModelled as error:
                outcomes["not modelled"] += 1
                check_secrets(account, str(error))
            else:
                outcomes["refused" if answer.status >= 400 else "done"] += 1
                check_answer(request, answer)
                if b"AccessKeySecret" not in answer.body:  # else it is issued
                    check_secrets(account, f"{answer.headers} {answer.body.decode('latin-1')}")
            check_state(account)

    send()
    assert sum(outcomes.values()) >= EXAMPLES * ROW
    assert min(outcomes["done"], outcomes["refused"], outcomes["not modelled"]) > 100, outcomes


def test_every_operation_is_where_the_fuzzing_starts() -> None:
    for module in (ram, sts, ecs):
        sent = {request.parameters["Action"] for request in seeds()[module.SERVICE.name]}
        assert sent == module.SERVICE.operations.keys()
    described = {operation.name for operation in OPERATIONS.values()}
    assert {describe(request)[1] for request in seeds()["oss"]} >= described
