"""``oss://bucket/key`` as a path for papermill: notebooks are read from OSS and written to it.

Papermill finds this module by its entry point ``papermill.io``. Credentials are those that the
lessons teach: the environment's, or else those of the instance's role, asked for again before they
expire. Requests are signed with V4 and sent over https. A notebook is written with one PutObject,
which OSS does as a whole or not at all, so no reader ever meets half of one. The SDK is imported
when a path is used: papermill imports this module at each start.
"""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from functools import cache
from typing import Any

import requests

from .guard import is_this_machine
from .masking import mask_text

METADATA = "http://100.100.100.200/latest"
# https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
_TOKEN_SECONDS = "21600"
_FRESH_SECONDS = 15 * 60  # a new credential is on offer 30 minutes before the old one ends
_METADATA_TIMEOUT = 2  # seconds; the address answers at once, or this is no instance
_KEY_ID, _SECRET = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
_PATH = re.compile("oss://(?P<bucket>[^/]+)(?:/(?P<key>.*))?")
_REGION_IN_ENDPOINT = re.compile(r"oss-(?P<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com/?$")


class OssError(OSError):
    """What OSS or the metadata address refused, in one sentence."""


class OssHandler:
    """Papermill's four operations on a path. Each raises OssError."""

    @classmethod
    def read(cls, path: str) -> str:
        text: str = _ask(path, lambda bucket, key: bucket.get_object(key).read().decode("utf-8"))
        return text

    @classmethod
    def write(cls, buf: str, path: str) -> None:
        _ask(path, lambda bucket, key: bucket.put_object(key, buf.encode("utf-8")))

    @classmethod
    def listdir(cls, path: str) -> list[str]:
        """The paths of the objects in a folder, not those in folders below it."""

        def names(bucket: Any, key: str) -> list[str]:
            from oss2 import ObjectIterator

            prefix = f"{key.rstrip('/')}/" if key else ""
            entries = ObjectIterator(bucket, prefix=prefix, delimiter="/", max_keys=1000)
            return [entry.key for entry in entries if not entry.is_prefix()]

        bucket_name = _split(path)[0]
        return [f"oss://{bucket_name}/{name}" for name in _ask(path, names)]

    @classmethod
    def pretty_path(cls, path: str) -> str:
        return path


def _ask(path: str, operation: Any) -> Any:
    bucket_name, key = _split(path)
    from oss2 import exceptions

    try:
        return operation(_bucket(bucket_name), key)
    except exceptions.OssError as error:
        # Without its cause: that has the whole answer in it, and the token.
        what = " ".join(filter(None, (error.code, error.message or error.body)))
        request_id = f" (RequestId {error.request_id})" if error.request_id else ""
        raise OssError(mask_text(f"{path}: {what}{request_id}")) from None


def _split(path: str) -> tuple[str, str]:
    found = _PATH.fullmatch(path)
    if not found:
        raise OssError(f"{path} is no path in OSS: oss://<bucket>/<key>.")
    return found["bucket"], found["key"] or ""


@cache
def _bucket(name: str) -> Any:
    import oss2

    endpoint, region = _endpoint()
    auth = oss2.ProviderAuthV4(_provider())
    return oss2.Bucket(auth, endpoint, name, region=region)


def _endpoint() -> tuple[str, str]:
    """OSS_ENDPOINT, else that of OSS_REGION, else the internal one of the instance's region."""
    endpoint, region = os.environ.get("OSS_ENDPOINT", ""), os.environ.get("OSS_REGION", "")
    if not endpoint:
        internal = "" if region else "-internal"
        region = region or _metadata("meta-data/region-id", "OSS_ENDPOINT")
        endpoint = f"oss-{region}{internal}.aliyuncs.com"
    scheme, _, host = endpoint.rpartition("://")
    if scheme == "http" and not is_this_machine(host.partition(":")[0]):
        raise OssError(f"OSS_ENDPOINT is {endpoint}: over http a token would travel in clear.")
    if not region:
        found = _REGION_IN_ENDPOINT.search(endpoint)
        region = found["region"] if found else ""
    if not region:
        raise OssError(f"No region is in OSS_ENDPOINT {endpoint}; set OSS_REGION, which is signed.")
    return f"{scheme or 'https'}://{host}", region


def _provider() -> Any:
    from oss2.credentials import StaticCredentialsProvider

    names = (_KEY_ID, _SECRET, "ALIBABA_CLOUD_SECURITY_TOKEN")
    key_id, secret, token = (os.environ.get(name, "") for name in names)
    return StaticCredentialsProvider(key_id, secret, token) if key_id and secret else InstanceRole()


class InstanceRole:
    """Credentials of this instance's role for oss2, also where its metadata need a token.

    oss2's own class sends no token: https://github.com/aliyun/aliyun-oss-python-sdk
    """

    def __init__(self) -> None:
        self._credentials: Any = None
        self._ends = 0.0

    def get_credentials(self) -> Any:
        if self._ends - time.time() < _FRESH_SECONDS:
            self._fetch()
        return self._credentials

    def _fetch(self) -> None:
        from oss2.credentials import Credentials

        folder = "meta-data/ram/security-credentials/"
        answer = _metadata(folder + _metadata(folder).strip(), as_json=True)
        names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
        self._credentials = Credentials(*(answer[name] for name in names))
        self._ends = datetime.fromisoformat(answer["Expiration"].replace("Z", "+00:00")).timestamp()


def _metadata(item: str, instead: str = f"{_KEY_ID} and {_SECRET}", as_json: bool = False) -> Any:
    """What the metadata address says of this instance; ``instead``: what to set elsewhere."""
    headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": _TOKEN_SECONDS}
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy reaches this address
            token = session.put(f"{METADATA}/api/token", headers=headers, timeout=_METADATA_TIMEOUT)
            if token.ok:
                session.headers["X-aliyun-ecs-metadata-token"] = token.text
            answer = session.get(f"{METADATA}/{item}", timeout=_METADATA_TIMEOUT)
            answer.raise_for_status()
            return answer.json() if as_json else answer.text
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else "no answer"
        what = f"Run on an ECS instance that has a RAM role, or set {instead}."
        raise OssError(f"{METADATA}/{item}: {status}. {what}") from None
