"""Clients that know nothing of this project: what each reads, and how each is refused.

The same five cases for every client and for every way to reach the stand-in. The role's policy
allows reading; no refusal is scripted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
from alibabacloud_credentials.client import Client as CredentialsClient
from alibabacloud_credentials.provider import (
    EcsRamRoleCredentialsProvider,
    URLCredentialsProvider,
)
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkram.request.v20150501 import CreateRoleRequest, GetRoleRequest, ListRolesRequest

from helpers.sandbox.account import SessionCredential
from helpers.sandbox.scenario import TRUST_POLICY
from tests.server.cloud import NAMES, OSS, RPC, Cloud


def act(case: str, actions: dict[str, Callable[[], Any]]) -> Any:
    """What the client does in ``case``: with a spoilt key it only tries to list."""
    return actions[case.removesuffix(" denied") if case in ("get", "put denied") else "list"]()


def with_oss2(version: str) -> Callable[[Cloud, SessionCredential, str], Any]:
    def client(cloud: Cloud, key: SessionCredential, case: str) -> Any:
        auth = oss2.StsAuth(key.access_key_id, key.secret, key.security_token, auth_version=version)
        bucket = oss2.Bucket(auth, cloud.oss_endpoint, NAMES.bucket_name, region=NAMES.region_id)
        actions = {
            "list": lambda: [each.key for each in oss2.ObjectIterator(bucket)],
            "get": lambda: bucket.get_object("ramroletest.txt").read().decode(),
            "put": lambda: bucket.put_object("new", b"x").status,
        }
        try:
            return act(case, actions)
        except oss2.exceptions.OssError as error:
            return f"{error.status} {error.code}"

    return client


def with_oss_v2(cloud: Cloud, key: Any, case: str) -> Any:
    config = oss_v2.config.load_default()
    config.region = NAMES.region_id
    config.endpoint = cloud.oss_endpoint
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(
        key.access_key_id, key.secret, key.security_token
    )
    client = oss_v2.Client(config)
    of = {"bucket": NAMES.bucket_name}
    listing, get = (
        oss_v2.ListObjectsV2Request(**of),
        oss_v2.GetObjectRequest(**of, key="ramroletest.txt"),
    )
    actions = {
        "list": lambda: [each.key for each in client.list_objects_v2(listing).contents or []],
        "get": lambda: client.get_object(get).body.read().decode(),
        "put": lambda: (
            client.put_object(oss_v2.PutObjectRequest(**of, key="new", body=b"x")).status_code
        ),
    }
    try:
        return act(case, actions)
    except oss_v2.exceptions.OperationError as error:
        refusal: Any = error.unwrap()
        return f"{refusal.status_code} {refusal.code}"


def with_core_sdk(cloud: Cloud, key: SessionCredential, case: str) -> Any:
    credential = StsTokenCredential(key.access_key_id, key.secret, key.security_token)
    client = AcsClient(region_id=NAMES.region_id, credential=credential)

    def call(request: Any, **parameters: str) -> Any:
        for name, value in parameters.items():
            getattr(request, f"set_{name}")(value)
        if cloud.rpc_endpoint:
            request.set_endpoint(cloud.rpc_endpoint)
        return json.loads(client.do_action_with_exception(request))

    new = {"RoleName": "New", "AssumeRolePolicyDocument": TRUST_POLICY}
    actions = {
        "list": lambda: [
            role["RoleName"] for role in call(ListRolesRequest.ListRolesRequest())["Roles"]["Role"]
        ],
        "get": lambda: call(GetRoleRequest.GetRoleRequest(), RoleName=NAMES.role_name)["Role"][
            "RoleName"
        ],
        "put": lambda: call(CreateRoleRequest.CreateRoleRequest(), **new),
    }
    try:
        return act(case, actions)
    except ServerException as error:
        return f"{error.http_status} {error.error_code}"


def from_metadata(cloud: Cloud) -> SessionCredential:
    """What alibabacloud-credentials fetches: its metadata address is fixed, a URI can be told."""
    if cloud.served:
        path = f"/latest/meta-data/ram/security-credentials/{NAMES.role_name}"
        provider: Any = URLCredentialsProvider(uri=cloud.metadata + path)
    else:  # without its thread, which would outlive the test
        provider = EcsRamRoleCredentialsProvider(async_update_enabled=False)
    fetched = CredentialsClient(provider=provider).get_credential()
    issued = cloud.account.credentials[fetched.access_key_id]
    return replace(issued, secret=fetched.access_key_secret, security_token=fetched.security_token)


@pytest.mark.parametrize("case", OSS)
@pytest.mark.parametrize(
    "client",
    [with_oss2("v1"), with_oss2("v4"), with_oss_v2],
    ids=["oss2-V1", "oss2-V4", "alibabacloud-oss-v2"],
)
def test_oss(cloud: Cloud, client: Any, case: str) -> None:
    assert client(cloud, cloud.key(case), case) == OSS[case]


@pytest.mark.parametrize("case", OSS)
def test_oss_with_credentials_from_the_metadata_address(cloud: Cloud, case: str) -> None:
    key = cloud.spoil(from_metadata(cloud), case)
    assert with_oss_v2(cloud, key, case) == OSS[case]


@pytest.mark.parametrize("case", RPC)
def test_ram(cloud: Cloud, case: str) -> None:
    assert with_core_sdk(cloud, cloud.key(case), case) == RPC[case]


def test_the_default_chain_of_credentials_ends_at_the_metadata_address(tmp_path: Path) -> None:
    """In a process of its own, since the chain starts a thread that refreshes for ever."""
    code = (
        "import helpers\n"
        "with helpers.connect(4) as cloud:\n"
        "    from alibabacloud_credentials.client import Client\n"
        "    credential = Client().get_credential()\n"
        "    print(credential.provider_name, credential.access_key_id[:4])\n"
        "    print(*(exchange.request.method for exchange in cloud.trace))\n"
    )
    own = {n: v for n, v in os.environ.items() if not n.startswith("ALIBABA_CLOUD")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=own | {"HOME": str(tmp_path)},
    )
    assert done.stdout.split() == ["default/ecs_ram_role", "STS.", "PUT", "GET", "PUT", "GET"], (
        done.stderr
    )
