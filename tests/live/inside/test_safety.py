"""What live mode stops, and what it does not lose: real clients against an account."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkecs.request.v20140526.CreateInstanceRequest import CreateInstanceRequest
from aliyunsdkecs.request.v20140526.RunInstancesRequest import RunInstancesRequest
from aliyunsdkram.request.v20150501.CreateRoleRequest import CreateRoleRequest

import helpers
from helpers.live.clean_up import Remover
from helpers.live.gate import Stopped
from helpers.message import Request, Response
from helpers.parameters import ParameterError
from helpers.sandbox.scenario import TRUST_POLICY, Names
from helpers.session import Session
from helpers.trace import METADATA_HOST
from tests.live.inside.conftest import NOTHING, Cloud

NAMES = Names()
PARAMETERS: dict[str, Any] = {
    name: getattr(NAMES, name)
    for name in ("region_id", "role_name", "instance_id", "instance_type", "security_group_id")
}


def connect(step: int = 2, **parameters: Any) -> Session:
    given = {"method": "create", "accept_charge": True, **PARAMETERS, **parameters}
    return helpers.connect(step, mode="live", **given)


@pytest.fixture
def session(cloud: Cloud) -> Iterator[Session]:
    with connect() as session:
        yield session


def creation(**changes: Any) -> CreateInstanceRequest:
    request = CreateInstanceRequest()
    request.set_ImageId(NAMES.image_id)
    request.set_InstanceType(NAMES.instance_type)
    request.set_VSwitchId(NAMES.v_switch_id)
    request.set_SecurityGroupId(NAMES.security_group_id)
    request.set_ClientToken(str(uuid.uuid4()))
    request.set_Tags([{"Key": "created-by", "Value": request.get_ClientToken()}])
    for name, value in changes.items():
        getattr(request, f"set_{name}")(value)
    return request


def send(session: Session, request: Any) -> Any:
    client = AcsClient(region_id=NAMES.region_id, credential=session.credential)
    return json.loads(client.do_action_with_exception(request))


def dry_run(session: Session, request: Any) -> None:
    request.set_DryRun(True)
    with pytest.raises(ServerException, match="DryRunOperation"):
        send(session, request)
    request.set_DryRun(False)


def test_an_instance_is_created_after_a_dry_run(session: Session, cloud: Cloud) -> None:
    request = creation()
    dry_run(session, request)
    assert send(session, request)["InstanceId"] == cloud.left()["instances"][0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda request: request.set_ClientToken(""), "without a ClientToken"),
        (lambda request: request.set_InstanceType("ecs.g6.8xlarge"), "no dry run of the same"),
    ],
)
def test_what_could_buy_too_much_is_stopped(
    session: Session, cloud: Cloud, change: Callable[[Any], None], sentence: str
) -> None:
    request = creation()
    dry_run(session, request)
    change(request)
    cloud.requests.clear()
    with pytest.raises(Stopped, match=sentence):
        send(session, request)
    assert cloud.requests == []


def test_a_dry_run_that_fails_is_none(session: Session, cloud: Cloud) -> None:
    request = creation(ImageId="none_such.vhd", DryRun=True)
    with pytest.raises(ServerException, match=r"Forbidden\.RAM"):
        send(session, request)
    request.set_DryRun(False)
    with pytest.raises(Stopped, match="no dry run"):
        send(session, request)


def test_without_a_charge_accepted_nothing_is_created(cloud: Cloud) -> None:
    with pytest.raises(ParameterError, match="accept_charge to True"):
        connect(accept_charge=False)
    assert cloud.requests == []
    with connect(method="attach", accept_charge=False) as session:
        request = creation()
        dry_run(session, request)
        with pytest.raises(Stopped, match="accept_charge is not True"):
            send(session, request)


def test_another_way_to_create_is_stopped(session: Session) -> None:
    with pytest.raises(Stopped, match="RunInstances was not sent"):
        send(session, RunInstancesRequest())


def test_plain_http_is_stopped(session: Session, cloud: Cloud) -> None:
    cloud.requests.clear()
    with pytest.raises(Stopped, match="plain http"):
        requests.get("http://ramroletest.oss-cn-hangzhou.aliyuncs.com/", timeout=5)
    with pytest.raises(Stopped, match="plain http"):
        send(session, creation(protocol_type="http"))
    assert cloud.requests == []


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("name", ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
def test_a_missing_key_is_named(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, step: int, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(Stopped, match=f"^{name} must be set"):
        connect(step, policy_name="Test")


def test_a_key_that_is_not_known_is_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI5tUnknown")
    with pytest.raises(Stopped, match=r"InvalidAccessKeyId\.NotFound"):
        connect()


# Packets to the address leave and are lost, as they are from a laptop.
SILENCE = (
    "link add void type veth peer name nowhere",
    "link set nowhere up",
    "link set void up",
    "address add 192.0.2.1/32 dev void",
    f"route add {METADATA_HOST} dev void",
    f"neighbour add {METADATA_HOST} lladdr 02:00:00:00:00:01 dev void",
)


@pytest.mark.parametrize("silent", [False, True], ids=["no route", "no answer"])
@pytest.mark.parametrize("step", [3, 4])
def test_away_from_an_instance(cloud: Cloud, step: int, silent: bool) -> None:
    for command in SILENCE if silent else ():
        subprocess.run(["ip", *command.split()], check=True)
    try:
        with pytest.raises(Stopped, match=rf"no ECS instance.*notebooks/0{step}_\w+\.ipynb"):
            connect(step)
    finally:
        if silent:
            subprocess.run(["ip", "link", "del", "void"], check=True)


def test_what_replay_can_do_and_an_account_cannot(session: Session) -> None:
    for do in (
        lambda: session.clock.advance(hours=1),
        lambda: session.faults.next("ecs", "cut"),
        lambda: session.sign_in_as("colleague", policies=[]),
    ):
        with pytest.raises(helpers.ReplayOnly, match="live mode does not"):
            do()


def refused(code: str) -> Any:
    def answer(cloud: Cloud, request: Request, carry_out: Callable[[], Response]) -> Response:
        return cloud.sandbox.refuse(request, cloud.now(), code)

    return answer


def lost(cloud: Cloud, request: Request, carry_out: Callable[[], Response]) -> Response:
    carry_out()
    raise ConnectionError("the answer is lost")


def late(cloud: Cloud, request: Request, carry_out: Callable[[], Response]) -> Response:
    response = carry_out()
    time.sleep(0.6)
    return response


@pytest.mark.parametrize("times", [1, 9], ids=["once", "each time"])
@pytest.mark.parametrize(
    "answer",
    [refused("Throttling"), refused("InternalError"), refused("ServiceUnavailable"), lost, late],
    ids=["throttled", "500", "503", "answer lost", "answer late"],
)
def test_never_two_instances_and_never_a_lost_one(
    session: Session, cloud: Cloud, answer: Any, times: int
) -> None:
    request = creation(read_timeout=0.3)
    dry_run(session, request)
    met = []

    def hook(request: Request, carry_out: Callable[[], Response]) -> Response:
        if request.parameters.get("Action") == "CreateInstance" and len(met) < times:
            met.append(request)
            return answer(cloud, request, carry_out)
        return carry_out()

    cloud.hook = hook
    created = None
    try:
        created = send(session, request)["InstanceId"]
    except (ClientException, ServerException):
        assert len(met) == times or len(met) == 4
    cloud.hook = None
    made = cloud.left()["instances"]
    assert len(made) <= 1 and created in (None, *made)
    assert [entry.kind.made_by for entry in session.ledger.left()] == ["CreateInstance"][
        : len(session.ledger)
    ]
    remover = Remover()
    for entry in remover.left():
        remover.remove(entry)
    assert cloud.left() == NOTHING


def gone(request: Request, carry_out: Callable[[], Response]) -> Response:
    raise ConnectionError("the answer is lost")


def test_what_was_there_before_is_not_removed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role is an hour old, and the answer that would have said so is lost."""
    cloud.reset(step=2)
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    before = cloud.left()
    with connect(method="attach") as session:
        request = CreateRoleRequest()
        request.set_RoleName(NAMES.role_name)
        request.set_AssumeRolePolicyDocument(TRUST_POLICY)
        cloud.hook = gone
        with pytest.raises((ClientException, ServerException)):
            send(session, request)
        cloud.hook = None
        (entry,) = session.ledger.left()
    remover = Remover()
    assert [remover.remove(each) for each in remover.left()] == [""]
    assert cloud.left() == before and NAMES.role_name in before["roles"]
    assert Remover().left() == [] and entry.id == NAMES.role_name


def test_an_instance_that_nothing_finds_stays_in_the_ledger(session: Session, cloud: Cloud) -> None:
    request = creation(Tags=[])
    for name in ("Tag.1.Key", "Tag.1.Value"):
        request.get_query_params().pop(name)
    dry_run(session, request)
    cloud.hook = gone
    with pytest.raises((ClientException, ServerException)):
        send(session, request)
    cloud.hook = None
    (entry,) = Remover().left()
    assert "look in the console for one created in cn-hangzhou at" in Remover().remove(entry)
    assert len(Remover().left()) == 1


def test_who_may_not_list_is_not_told_that_there_is_none(session: Session, cloud: Cloud) -> None:
    request = creation()
    dry_run(session, request)
    cloud.hook = lambda request, carry_out: (carry_out(), gone(request, carry_out))[1]
    with pytest.raises((ClientException, ServerException)):
        send(session, request)
    cloud.hook = None
    (user,) = cloud.sandbox.account.users.values()
    allowed = user.documents["Minimal"]
    user.documents["Minimal"] = allowed.replace('"ecs:DescribeInstances", ', "")
    (entry,) = Remover().left()
    assert Remover().remove(entry).startswith("Forbidden.RAM")
    user.documents["Minimal"] = allowed
    assert [Remover().remove(each) for each in Remover().left()] == [""]
    assert cloud.left() == NOTHING


def test_a_key_that_is_gone_is_not_taken_for_a_thing_that_is(
    session: Session, cloud: Cloud
) -> None:
    request = creation()
    dry_run(session, request)
    send(session, request)
    remover = Remover()
    (key,) = (key for key in cloud.sandbox.account.access_keys.values() if key.user_name)
    del cloud.sandbox.account.access_keys[key.access_key_id]
    (entry,) = remover.left()
    assert remover.remove(entry).startswith("InvalidAccessKeyId.NotFound")
    assert remover.left() == [entry]
