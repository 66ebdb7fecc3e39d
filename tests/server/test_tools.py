"""Node's official packages and curl, over the socket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import oss2
import pytest

from helpers.sandbox.account import SessionCredential
from helpers.sandbox.scenario import TRUST_POLICY
from helpers.server import Served
from tests.server.cloud import NAMES, OSS, RPC, Cloud, Switchboard, missing

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node(switchboard: Switchboard) -> dict[str, dict[str, Any]]:
    """The outcome of each case for each package, from one process."""
    if not shutil.which("node") or not (HERE / "node_modules").is_dir():
        missing("needs Node and `npm ci --prefix tests/server`")
    cloud = switchboard.connect(by_address=True)
    keys = {case: cloud.key(case) for case in OSS}
    given = {
        "oss": cloud.oss_endpoint,
        "rpc": f"https://{cloud.rpc_endpoint}",
        "bucket": NAMES.bucket_name,
        "roleName": NAMES.role_name,
        "trustPolicy": TRUST_POLICY,
        "keys": {case: _camel(key) for case, key in keys.items()},
    }
    done = subprocess.run(
        ["node", str(HERE / "clients.mjs")],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"NODE_EXTRA_CA_CERTS": str(switchboard.served.ca_file)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _camel(key: SessionCredential) -> dict[str, str]:
    return {
        "accessKeyId": key.access_key_id,
        "accessKeySecret": key.secret,
        "securityToken": key.security_token,
    }


@pytest.mark.parametrize("case", OSS)
@pytest.mark.parametrize("package", ["ali-oss-V1", "ali-oss-V4"])
def test_oss_from_node(node: dict[str, dict[str, Any]], package: str, case: str) -> None:
    assert node[package][case] == OSS[case]


@pytest.mark.parametrize("case", RPC)
@pytest.mark.parametrize("package", ["pop-core", "openapi-client"])
def test_ram_from_node(node: dict[str, dict[str, Any]], package: str, case: str) -> None:
    assert node[package][case] == RPC[case]


def curl(served: Served, *arguments: str, by_name: bool = False) -> tuple[int, str]:
    """Status and body; ``by_name`` connects to the stand-in whatever host the URL names."""
    if not shutil.which("curl"):
        missing("needs curl")
    line = ["curl", "-sS", "--cacert", str(served.ca_file), "-w", "\n%{http_code}", *arguments]
    if by_name:
        line += ["--connect-to", f"::127.0.0.1:{served.https_port}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def signed_url(cloud: Cloud, key: SessionCredential, case: str, version: str) -> str:
    auth = oss2.StsAuth(key.access_key_id, key.secret, key.security_token, auth_version=version)
    bucket = oss2.Bucket(auth, cloud.oss_endpoint, NAMES.bucket_name, region=NAMES.region_id)
    if case in ("get", "put denied"):
        return bucket.sign_url("PUT" if case == "put denied" else "GET", "ramroletest.txt", 60)
    # sign_url takes no listing, as it wants a key.
    url = bucket._make_url(NAMES.bucket_name, "")
    scope = {"region": NAMES.region_id, "product": "oss"}
    listing = oss2.http.Request("GET", url, params={"prefix": ""}, **scope)
    return bucket.auth._sign_url(listing, NAMES.bucket_name, "", 60)


@pytest.mark.parametrize("case", OSS)
@pytest.mark.parametrize("version", ["v1", "v4"])
@pytest.mark.parametrize("by_name", [False, True], ids=["by address", "by name"])
def test_curl_with_a_signed_url(
    switchboard: Switchboard, by_name: bool, version: str, case: str
) -> None:
    cloud = switchboard.connect(by_address=not by_name)
    url = signed_url(cloud, cloud.key(case), case, version)
    upload = ["-X", "PUT", "--data-binary", "x", "-H", "Content-Type:"]
    status, body = curl(
        switchboard.served, url, *(upload if case == "put denied" else ()), by_name=by_name
    )
    if case == "get":
        assert (status, body) == (200, OSS["get"])
        return
    root = ElementTree.fromstring(body)
    keys = [key.text for key in root.iterfind("Contents/Key")]
    assert (keys if status == 200 else f"{status} {root.findtext('Code')}") == OSS[case]


def test_curl_reads_the_metadata_as_documented(switchboard: Switchboard) -> None:
    cloud = switchboard.connect(by_address=True)
    cloud.account.instances[NAMES.instance_id].http_tokens = "required"
    address, served = f"{cloud.metadata}/latest", switchboard.served
    path = f"{address}/meta-data/ram/security-credentials/"
    life = "X-aliyun-ecs-metadata-token-ttl-seconds: 60"
    assert curl(served, path)[0] == 401
    status, token = curl(served, "-X", "PUT", "-H", life, f"{address}/api/token")
    with_token = ("-H", f"X-aliyun-ecs-metadata-token: {token}")
    assert (status, curl(served, *with_token, path)) == (200, (200, NAMES.role_name))
    status, document = curl(served, *with_token, path + NAMES.role_name)
    assert (status, json.loads(document)["Code"]) == (200, "Success")
