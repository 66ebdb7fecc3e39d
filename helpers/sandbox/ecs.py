"""ECS: instances, the RAM roles attached to them, and the little network that they need.

State is the account's ``instances``. What CreateInstance is told stands in an instance's
``attributes`` under the parameters' names. Each operation checks first and then changes the state;
in which order ECS checks is not published. Operations and error codes:
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-overview
Which resources a policy must allow:
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-ram
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

from ..message import Decided, NotModelled, ServiceError
from ..policy import trusts
from . import ecs_parameters as parameters
from .account import Account, Instance
from .ecs_parameters import STATES, check, check_login, instance_ids, missing, true
from .ecs_view import COMPARED, facts, fits, minute, page, shown
from .rpc import GATEWAY_PARAMETERS, Call, Service, Values

ALPHANUMERIC = string.ascii_lowercase + string.digits
PUBLIC_ADDRESSES = "203.0.113.0/24"  # set aside for documentation: RFC 5737
RULES_OF_A_SECURITY_GROUP = 200
KEPT = (
    "ImageId InstanceType VSwitchId SecurityGroupId InstanceName Description HostName UserData "
    "InternetMaxBandwidthOut InternetChargeType"
)


def _denied(call: Call, action: str, resource: str) -> ServiceError:
    """Forbidden.RAM; but who may not list instances gets an empty list, unless it is a dry run.

    https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describeinstances
    """
    decided = Decided("policy", call.decide(action, resource).reason)
    if action == "ecs:DescribeInstances" and not true(call, "DryRun"):
        return ServiceError("", decided, **page(call, "Instance", [], 100))
    return ServiceError("Forbidden.RAM", decided)


SERVICE = Service(
    "ecs",
    "2014-05-26",
    re.compile(r"ecs([.-][a-z0-9-]+)?\.aliyuncs\.com"),
    missing,
    _denied,
)


def _resource(call: Call, kind: str, name: str, service: str = "ecs") -> str:
    return f"acs:{service}:{call.region_id}:{call.account.account_id}:{kind}/{name or '*'}"


def _the_instance(call: Call) -> list[str]:
    return [_resource(call, "instance", call["InstanceId"])]


def _any_instance(call: Call) -> list[str]:
    return [_resource(call, "instance", "*")]


def _listed_instances(call: Call) -> list[str]:
    ids = instance_ids(call) if call["InstanceIds"] else []
    return [_resource(call, "instance", instance_id) for instance_id in ids or ["*"]]


def _instances_and_role(call: Call) -> list[str]:
    return [*_listed_instances(call), call.account.role_arn(call["RamRoleName"] or "*")]


def _of_a_new_instance(call: Call) -> list[str]:
    v_switch = call.account.v_switches.get(call["VSwitchId"], {})
    return [
        *_any_instance(call),
        _resource(call, "image", call["ImageId"]),
        _resource(call, "securitygroup", call["SecurityGroupId"]),
        _resource(call, "vswitch", call["VSwitchId"], "vpc"),
        _resource(call, "vpc", v_switch.get("VpcId", ""), "vpc"),
    ]


def _the_security_group(call: Call) -> list[str]:
    return [_resource(call, "securitygroup", call["SecurityGroupId"])]


def _checked_by_itself(call: Call) -> list[str]:
    return []


# Roles of instances


@SERVICE.operation(
    "AttachInstanceRamRole",
    "RegionId",
    "InstanceIds",
    "RamRoleName",
    optional="Policy",
    on=_instances_and_role,
)
def attach_instance_ram_role(call: Call) -> Values:
    """One role an instance. The one that it has already can be attached again."""
    role_name = _passed_role(call)
    parameters.check_session_policy(call)
    instances = _vpc_instances(call)
    for instance in instances:
        if instance.role_name not in ("", role_name):
            decided = Decided("state", f"{instance.instance_id} has {instance.role_name}")
            raise ServiceError("OperationConflict", decided)
    for instance in instances:
        instance.role_name, instance.session_policy = role_name, call["Policy"]
    return {
        "RamRoleName": role_name,
        "TotalCount": len(instances),
        "AttachInstanceRamRoleResult": [_attachment(instance) for instance in instances],
    }


@SERVICE.operation(
    "DetachInstanceRamRole",
    "RegionId",
    "InstanceIds",
    optional="RamRoleName",
    on=_instances_and_role,
)
def detach_instance_ram_role(call: Call) -> Values:
    instances = _vpc_instances(call)
    for instance in instances:
        if not instance.role_name or call["RamRoleName"] not in ("", instance.role_name):
            attached = instance.role_name or "no role"
            decided = Decided("state", f"{instance.instance_id} has {attached}")
            raise ServiceError("InvalidRamRole.NotFound", decided)
    results = [_attachment(instance) for instance in instances]
    for instance in instances:
        instance.role_name = instance.session_policy = ""
    return {
        "RamRoleName": results[0]["RamRoleName"],
        "TotalCount": len(results),
        "DetachInstanceRamRoleResult": results,
    }


@SERVICE.operation(
    "DescribeInstanceRamRole",
    "RegionId",
    optional="InstanceIds RamRoleName PageNumber PageSize",
    on=_listed_instances,
)
def describe_instance_ram_role(call: Call) -> Values:
    role_name = call["RamRoleName"]
    if not call["InstanceIds"] and not role_name:
        decided = Decided("parameter", "neither InstanceIds nor RamRoleName is given")
        raise ServiceError("InvalidParameter.AllEmpty", decided)
    if role_name and role_name not in call.account.roles:
        raise ServiceError("InvalidRamRole.NotFound", _there_is_no("role", role_name))
    asked = _vpc_instances(call) if call["InstanceIds"] else _of_the_region(call)
    attached = [
        _attachment(instance)
        for instance in asked
        if instance.role_name and role_name in ("", instance.role_name)
    ]
    return {"RegionId": call.region_id, **page(call, "InstanceRamRoleSet", attached, 50)}


def _attachment(instance: Instance) -> dict[str, str]:
    return {"InstanceId": instance.instance_id, "RamRoleName": instance.role_name}


def _passed_role(call: Call) -> str:
    """The name of a role that the caller may hand over and that lets ECS assume it.

    https://www.alibabacloud.com/help/doc-detail/127172.htm
    """
    name = call["RamRoleName"]
    arn = call.account.role_arn(name)
    decision = call.decide("ram:PassRole", arn, acs_Service="ecs.aliyuncs.com")
    if not decision.allowed:
        raise ServiceError("InvalidUser.PassRoleForbidden", Decided("policy", decision.reason))
    role = call.account.roles.get(name)
    if role is None:
        raise ServiceError("InvalidRamRole.NotFound", _there_is_no("role", name))
    document = role.assume_role_policy_document
    decision = trusts(document, "Service", "ecs.aliyuncs.com", call.context)
    if not decision.allowed:
        raise ServiceError("InvalidRamRole.NotEcsRole", Decided("trust policy", decision.reason))
    return name


# The life of an instance


@SERVICE.operation(
    "CreateInstance",
    "RegionId",
    "InstanceType",
    "ImageId",
    optional="VSwitchId SecurityGroupId ZoneId RamRoleName HostName Password PasswordInherit "
    "UserData Tag.N.Key Tag.N.Value DryRun " + " ".join(parameters.CREATION),
    on=_of_a_new_instance,
)
def create_instance(call: Call) -> Values:
    """The new instance ends Stopped, without a public address."""
    if created := _created_before(call):
        return {"InstanceId": created}
    _check_creation(call)
    role_name = _passed_role(call) if call["RamRoleName"] else ""
    attributes = _attributes(call)
    _stop_if_dry(call)
    instance = Instance(
        call.account.mint("i-", 20, ALPHANUMERIC),
        call.region_id,
        call.now,
        role_name=role_name,
        http_endpoint=call["HttpEndpoint"] or "enabled",
        http_tokens=call["HttpTokens"] or "optional",
        attributes=attributes,
    )
    attributes.setdefault("HostName", f"iZ{instance.instance_id[2:]}Z")
    instance.enter("Pending", call.now)
    call.account.instances[instance.instance_id] = instance
    if token := call["ClientToken"]:
        call.account.client_tokens[token] = _digest(call), instance.instance_id
    return {"InstanceId": instance.instance_id}


@SERVICE.operation("StartInstance", "InstanceId", optional="DryRun", on=_the_instance)
def start_instance(call: Call) -> Values:
    instance = _instance(call, call["InstanceId"])
    _need(call, instance, "Stopped")
    _stop_if_dry(call)
    instance.enter("Starting", call.now)
    instance.attributes["StartTime"] = minute(call.now)
    return {}


@SERVICE.operation(
    "StopInstance",
    "InstanceId",
    optional="ForceStop StoppedMode ConfirmStop DryRun",
    on=_the_instance,
)
def stop_instance(call: Call) -> Values:
    check(call, parameters.STOPPING)
    instance = _instance(call, call["InstanceId"])
    _need(call, instance, "Running")
    _stop_if_dry(call)
    instance.enter("Stopping", call.now)
    instance.attributes["StoppedMode"] = call["StoppedMode"] or "KeepCharging"
    return {}


@SERVICE.operation("DeleteInstance", "InstanceId", optional="Force DryRun", on=_the_instance)
def delete_instance(call: Call) -> Values:
    instance = _instance(call, call["InstanceId"])
    if instance.status_at(call.now) == "Pending":
        decided = Decided("state", f"{instance.instance_id} is being created")
        raise ServiceError("IncorrectInstanceStatus.Initializing", decided)
    _need(call, instance, "Stopped", *(["Running"] if true(call, "Force") else []))
    _stop_if_dry(call)
    del call.account.instances[instance.instance_id]
    return {}


@SERVICE.operation(
    "ModifyInstanceAttribute",
    "InstanceId",
    optional="InstanceName Description HostName Password UserData",
    on=_the_instance,
)
def modify_instance_attribute(call: Call) -> Values:
    """A password is checked and then forgotten: nothing here ever logs in with it."""
    instance = _instance(call, call["InstanceId"])
    check(call, parameters.NAMING)
    check_login(call, instance.attributes.get("ImageId", ""))
    if call["Password"]:
        _need(call, instance, *(state for state in STATES if state != "Starting"))
    if call["UserData"]:
        _need(call, instance, "Stopped")
    instance.attributes.update(_told(call))
    return {}


@SERVICE.operation(
    "ModifyInstanceMetadataOptions",
    "RegionId",
    "InstanceId",
    "HttpEndpoint",
    optional="HttpTokens",
    on=_the_instance,
)
def modify_instance_metadata_options(call: Call) -> Values:
    check(call, parameters.METADATA_OPTIONS)
    instance = _instance(call, call["InstanceId"])
    instance.http_endpoint = call["HttpEndpoint"]
    instance.http_tokens = call["HttpTokens"] or instance.http_tokens
    return {}


def _created_before(call: Call) -> str:
    """The id of the instance that the same call made before, by its ClientToken.

    https://www.alibabacloud.com/help/en/ecs/developer-reference/how-to-ensure-idempotence
    """
    digest, instance_id = call.account.client_tokens.get(call["ClientToken"], ("", ""))
    if instance_id and digest != _digest(call):
        decided = Decided("idempotence", "this ClientToken came with other parameters before")
        raise ServiceError("IdempotentParameterMismatch", decided)
    return instance_id


def _digest(call: Call) -> str:
    """What a call asks for, without what is new in every request; hashed, for the password."""
    own = sorted((name, value) for name, value in call if name not in GATEWAY_PARAMETERS)
    return hashlib.sha256(repr((call.region_id, own)).encode()).hexdigest()


def _check_creation(call: Call) -> None:
    check(call, parameters.CREATION)
    check_login(call, call["ImageId"])
    if call["InstanceChargeType"] == "PrePaid":
        raise NotModelled("InstanceChargeType=PrePaid is not modelled here; PostPaid is.")
    if call["Password"] and true(call, "PasswordInherit"):
        decided = Decided("parameter", "both Password and PasswordInherit are given")
        raise ServiceError("InvalidPasswordParam.Mismatch", decided)
    if call["ImageId"] not in call.account.images:
        raise ServiceError("InvalidImageId.NotFound", _there_is_no("image", call["ImageId"]))
    _check_network(call)


def _check_network(call: Call) -> None:
    if call["SecurityGroupId"]:
        _security_group(call, "SecurityGroupId", "InvalidSecurityGroupId.NotFound")
    if not call["VSwitchId"]:
        if call["RamRoleName"]:
            decided = Decided("network", "without VSwitchId the instance is in no VPC")
            raise ServiceError("InvalidNetworkType.MismatchRamRole", decided)
        raise missing("VSwitchId")
    v_switch = call.account.v_switches.get(call["VSwitchId"])
    if v_switch is None or not _is_ours(call):
        raise ServiceError("InvalidVSwitchId.NotFound", _there_is_no("vSwitch", call["VSwitchId"]))
    if call["ZoneId"] not in ("", v_switch["ZoneId"]):
        decided = Decided("network", f"{call['VSwitchId']} is in {v_switch['ZoneId']}")
        raise ServiceError("InvalidParameter.Mismatch", decided)


def _attributes(call: Call) -> dict[str, str]:
    network = call.account.v_switches[call["VSwitchId"]]["CidrBlock"]
    address = next(_free_addresses(call.account, network, "PrivateIpAddress"), None)
    if address is None:
        decided = Decided("network", f"every address of {call['VSwitchId']} is in use")
        raise ServiceError("QuotaExceeded.PrivateIpAddress", decided)
    default = {"SecurityGroupId": next(iter(call.account.security_groups), "")}
    return {**default, **_told(call), "PrivateIpAddress": address}


def _told(call: Call) -> dict[str, str]:
    """The parameters that an instance keeps. A password is not among them."""
    return {
        name: value
        for name, value in call
        if value and (name in KEPT.split() or name.startswith("Tag."))
    }


# What there is


@SERVICE.operation(
    "DescribeInstances",
    "RegionId",
    optional="InstanceIds InstanceName Tag.N.Key Tag.N.Value AdditionalAttributes.N PageNumber "
    f"PageSize DryRun Status InstanceNetworkType {COMPARED}",
    on=_listed_instances,
)
def describe_instances(call: Call) -> Values:
    check(call, parameters.FILTERS)
    _stop_if_dry(call)
    asked = instance_ids(call) if call["InstanceIds"] else call.account.instances
    known = [facts(call, one) for one in _of_the_region(call) if one.instance_id in asked]
    return page(call, "Instance", [shown(one) for one in known if fits(call, one)], 100)


@SERVICE.operation(
    "DescribeInstanceStatus",
    "RegionId",
    optional="InstanceId.N ZoneId PageNumber PageSize",
    on=_any_instance,
)
def describe_instance_status(call: Call) -> Values:
    asked = call.listed("InstanceId") or call.account.instances
    known = [facts(call, one) for one in _of_the_region(call) if one.instance_id in asked]
    states = [
        {"InstanceId": one["InstanceId"], "Status": one["Status"]}
        for one in known
        if call["ZoneId"] in ("", one["ZoneId"])
    ]
    return page(call, "InstanceStatus", states, 50)


# The network


@SERVICE.operation("AllocatePublicIpAddress", "InstanceId", on=_the_instance)
def allocate_public_ip_address(call: Call) -> Values:
    instance = _instance(call, call["InstanceId"])
    _need(call, instance, "Running", "Stopped")
    if address := instance.attributes.get("PublicIpAddress"):
        raise ServiceError("AllocatedAlready", Decided("state", f"it is {address}"))
    if int(instance.attributes.get("InternetMaxBandwidthOut", 0)) == 0:
        decided = Decided("state", "InternetMaxBandwidthOut of the instance is 0")
        raise ServiceError("AllocateIpInvalidInstanceBandwidth", decided)
    address = next(_free_addresses(call.account, PUBLIC_ADDRESSES, "PublicIpAddress"), None)
    if address is None:
        decided = Decided("network", f"every address of {PUBLIC_ADDRESSES} is in use")
        raise ServiceError("InsufficientPublicIp", decided)
    instance.attributes["PublicIpAddress"] = address
    return {"IpAddress": address}


@SERVICE.operation(
    "AuthorizeSecurityGroup",
    "RegionId",
    "SecurityGroupId",
    "IpProtocol",
    "PortRange",
    optional="SourceCidrIp SourceGroupId Policy Priority NicType Description ClientToken",
    on=_the_security_group,
)
def authorize_security_group(call: Call) -> Values:
    """A rule that is there already is not added again, and the call succeeds."""
    rules = _security_group(call, "SecurityGroupId", "InvalidSecurityGroupId.NotFound")
    check(call, parameters.SECURITY)
    parameters.check_ports(call)
    parameters.check_source(call)
    rule = _security_rule(call)
    if rule in rules:
        return {}
    if len(rules) >= RULES_OF_A_SECURITY_GROUP:
        decided = Decided("limit", f"{RULES_OF_A_SECURITY_GROUP} rules a security group")
        raise ServiceError("AuthorizationLimitExceed", decided)
    rules.append(rule)
    return {}


@SERVICE.operation(
    "RevokeSecurityGroup",
    "RegionId",
    "SecurityGroupId",
    "IpProtocol",
    "PortRange",
    optional="SourceCidrIp SourceGroupId Policy Priority NicType Description ClientToken",
    on=_the_security_group,
)
def revoke_security_group(call: Call) -> Values:
    """Of a rule that is not there, named by its parameters, nothing is removed; it is no error.

    https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-revokesecuritygroup
    """
    rules = _security_group(call, "SecurityGroupId", "InvalidSecurityGroupId.NotFound")
    rule = _security_rule(call)
    rules[:] = [each for each in rules if each != rule]
    return {}


def _security_rule(call: Call) -> dict[str, str]:
    """What makes a rule another rule: all but its description."""
    if not call["SourceCidrIp"]:
        _security_group(call, "SourceGroupId", "InvalidSourceGroupId.NotFound")
    return {
        "IpProtocol": call["IpProtocol"].lower(),
        "PortRange": call["PortRange"],
        "Source": call["SourceCidrIp"] or call["SourceGroupId"],
        "Policy": call["Policy"] or "accept",
        "Priority": call["Priority"] or "1",
        "NicType": call["NicType"] or "intranet",
    }


@SERVICE.operation(
    "DescribeVSwitches",
    "RegionId",
    optional="VpcId VSwitchId ZoneId PageNumber PageSize",
    on=_checked_by_itself,
)
def describe_v_switches(call: Call) -> Values:
    """ECS's own operation, which VPC's replaces; its action in a policy is VPC's.

    https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describevswitches
    """
    resource = _resource(call, "vswitch", "*", "vpc")
    if not call.decide("vpc:DescribeVSwitches", resource).allowed:
        raise _denied(call, "vpc:DescribeVSwitches", resource)
    asked = [name for name in ("VpcId", "VSwitchId", "ZoneId") if call[name]]
    found = [one for one in _v_switches(call) if all(one[name] == call[name] for name in asked)]
    return page(call, "VSwitch", found, 50)


def _v_switches(call: Call) -> list[dict[str, Any]]:
    known = call.account.v_switches.items() if _is_ours(call) else ()
    return [
        {"VSwitchId": v_switch_id, **v_switch, "AvailableIpAddressCount": len(list(free))}
        for v_switch_id, v_switch in known
        for free in [_free_addresses(call.account, v_switch["CidrBlock"], "PrivateIpAddress")]
    ]


def _free_addresses(account: Account, network: str, attribute: str) -> Iterator[str]:
    """Those that no instance has. A vSwitch's first and last three are the system's.

    https://www.alibabacloud.com/help/en/vpc/developer-reference/api-vpc-2016-04-28-createvswitch
    """
    taken = {instance.attributes.get(attribute) for instance in account.instances.values()}
    addresses = IPv4Network(network)
    usable = (str(addresses[n]) for n in range(1, addresses.num_addresses - 3))
    return (address for address in usable if address not in taken)


def _security_group(call: Call, parameter: str, code: str) -> list[dict[str, str]]:
    """The rules of the security group that the parameter names."""
    if not _is_ours(call) or call[parameter] not in call.account.security_groups:
        raise ServiceError(code, _there_is_no("security group", call[parameter]))
    return call.account.security_groups[call[parameter]]


# For all of them


def _there_is_no(kind: str, name: str) -> Decided:
    return Decided("state", f"there is no {kind} {name}")


def _is_ours(call: Call) -> bool:
    """Whether the call is about the one region where this account has a network."""
    return call.region_id == call.account.region_id


def _of_the_region(call: Call) -> list[Instance]:
    return [one for one in call.account.instances.values() if one.region_id == call.region_id]


def _instance(call: Call, instance_id: str) -> Instance:
    instance = call.account.instances.get(instance_id)
    if instance is None or call["RegionId"] not in ("", instance.region_id):
        place = f"instance {instance_id} in {call.region_id}"
        raise ServiceError("InvalidInstanceId.NotFound", Decided("state", f"there is no {place}"))
    return instance


def _vpc_instances(call: Call) -> list[Instance]:
    """The instances that InstanceIds names; a role is for instances in a VPC."""
    instances = [_instance(call, instance_id) for instance_id in instance_ids(call)]
    for instance in instances:
        if instance.network_type != "vpc":
            decided = Decided("network", f"{instance.instance_id} is of the classic network")
            raise ServiceError("InvalidNetworkType.MismatchRamRole", decided)
    return instances


def _need(call: Call, instance: Instance, *states: str) -> None:
    status = instance.status_at(call.now)
    if status not in states:
        reason = f"{instance.instance_id} is {status}, not {' or '.join(states)}"
        raise ServiceError("IncorrectInstanceStatus", Decided("state", reason))


def _stop_if_dry(call: Call) -> None:
    """A dry run that passes its checks is answered with an error.

    https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-createinstance
    """
    if true(call, "DryRun"):
        raise ServiceError("DryRunOperation", Decided("dry run", "every check has passed"))
