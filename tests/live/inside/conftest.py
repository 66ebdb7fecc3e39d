"""The cloud on this machine: names, addresses, certificates, and one account behind them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cheroot.wsgi import Server

from helpers.live.permissions import as_text, minimal_policy
from helpers.message import Request, Response
from helpers.recordings import load
from helpers.sandbox.sandbox import Sandbox
from helpers.sandbox.scenario import Names, account_before, add_user
from helpers.server import serve, wsgi
from helpers.trace import METADATA_HOST, describe

REGION, BUCKET = "cn-hangzhou", "ramroletest"
HOSTS = [
    "ram.aliyuncs.com", "sts.aliyuncs.com", f"ecs.{REGION}.aliyuncs.com",
    f"ecs-{REGION}.aliyuncs.com", f"{BUCKET}.oss-{REGION}.aliyuncs.com",
    f"{BUCKET}.oss-{REGION}-internal.aliyuncs.com", f"{BUCKET}.oss-cn-beijing.aliyuncs.com",
    f"{BUCKET}-misspelt.oss-{REGION}.aliyuncs.com", "localhost",
]  # fmt: skip
RECORDINGS = load()
POLICY = as_text(minimal_policy({}))
Hook = Callable[[Request, Callable[[], Response]], Response]


@dataclass
class Cloud:
    """One account; ``requests`` are the operations asked for, ``hook`` may answer otherwise."""

    environment: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    hook: Hook | None = None
    sandbox: Any = None
    ahead: timedelta = timedelta()
    pace: float = 8  # seconds that pass with each question about an instance

    def reset(self, step: int = 1) -> None:
        """A new account, as it is before ``step``."""
        self.hook, self.ahead, self.pace = None, timedelta(), 8
        self.requests.clear()
        account = account_before(step, Names(), self.now())
        account.here = Names().instance_id
        self.sandbox = Sandbox(account, RECORDINGS)
        key = add_user(account, "learner", {"Minimal": POLICY})
        self.environment.update(
            ALIBABA_CLOUD_ACCESS_KEY_ID=key.access_key_id,
            ALIBABA_CLOUD_ACCESS_KEY_SECRET=key.secret,
        )

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead

    def answer(self, request: Request) -> Response:
        operation = describe(request)[1]
        if password := request.parameters.get("Password"):
            self.passwords.append(password)
        self.requests.append(operation)
        if operation in ("DescribeInstanceStatus", "DeleteInstance"):
            self.ahead += timedelta(seconds=self.pace)
        if self.hook:
            return self.hook(request, lambda: self.sandbox.handle(request, self.now()))
        answer: Response = self.sandbox.handle(request, self.now())
        return answer

    def secrets(self) -> list[str]:
        """All that must be in no file: keys, secrets, tokens and passwords."""
        account = self.sandbox.account
        keys = [*account.access_keys.values(), *account.credentials.values()]
        found = [text for key in keys for text in (key.access_key_id, key.secret)]
        found += [one.security_token for one in account.credentials.values()]
        return found + [token for _, token in account.metadata_tokens] + self.passwords

    def left(self) -> dict[str, Any]:
        """What an account has that it did not have before step 1."""
        account = self.sandbox.account
        return {
            "roles": list(account.roles),
            "policies": list(account.policies),
            "instances": sorted(set(account.instances) - {"i-bXXXXXXXX", "i-bYYYYYYYY"}),
            "attached": [one.role_name for one in account.instances.values() if one.role_name],
            "rules": [rule for rules in account.security_groups.values() for rule in rules],
        }


NOTHING: dict[str, Any] = {
    name: [] for name in ("roles", "policies", "instances", "attached", "rules")
}


@pytest.fixture(scope="session")
def served() -> Iterator[Cloud]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    cloud = Cloud()
    with ExitStack() as stack:
        served = stack.enter_context(serve(cloud.answer, REGION, 80, 443))
        hosts = served.ca_file.with_name("hosts")
        hosts.write_text(f"127.0.0.1 {' '.join(HOSTS)}\n")
        subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
        bundle = str(served.ca_file)
        cloud.environment.update(ALIBABA_CLOUD_CA_BUNDLE=bundle, REQUESTS_CA_BUNDLE=bundle)
        yield cloud


@pytest.fixture
def cloud(served: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A laptop: the account before step 1, its key in the environment, an empty folder."""
    served.reset()
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ALIBABA_CLOUD_SECURITY_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    return served


@contextmanager
def on_the_instance(cloud: Cloud) -> Iterator[None]:
    """The metadata address answers, and no key is in the environment."""
    keys = {name: os.environ.pop(name) for name in list(os.environ) if "_ACCESS_KEY_" in name}
    subprocess.run(["ip", "address", "add", f"{METADATA_HOST}/32", "dev", "lo"], check=True)
    server = Server((METADATA_HOST, 80), wsgi(cloud.answer, REGION))
    server.prepare()
    Thread(target=server.serve, daemon=True).start()
    yield
    server.stop()
    subprocess.run(["ip", "address", "del", f"{METADATA_HOST}/32", "dev", "lo"], check=True)
    os.environ.update(keys)
