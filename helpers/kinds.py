"""The kinds of things that the notebooks make in an account, and how each is found and undone."""

from __future__ import annotations

import re
from typing import NamedTuple

# The codes of an answer that says so. An unknown AccessKey is a 404 too, and says nothing.
GONE = re.compile(r"EntityNotExist(\..+)?|Invalid(InstanceId|RamRole|SecurityGroupId)\.NotFound")


class Kind(NamedTuple):
    """A kind of resource: what makes and what undoes it, and the parameters that name it.

    ``looked_for_by`` is the operation that tells whether it is there, where clean-up needs one.
    """

    resource: str
    service: str
    made_by: str
    undone_by: str
    named_by: tuple[str, ...]
    bills: bool = False
    looked_for_by: str = ""


KINDS = (
    Kind("RAM role", "ram", "CreateRole", "DeleteRole", ("RoleName",), looked_for_by="GetRole"),
    Kind(
        "RAM policy",
        "ram",
        "CreatePolicy",
        "DeletePolicy",
        ("PolicyName",),
        looked_for_by="GetPolicy",
    ),
    Kind(
        "policy on a role",
        "ram",
        "AttachPolicyToRole",
        "DetachPolicyFromRole",
        ("PolicyName", "PolicyType", "RoleName"),
        looked_for_by="ListPoliciesForRole",
    ),
    Kind(
        "ECS instance",
        "ecs",
        "CreateInstance",
        "DeleteInstance",
        ("InstanceId",),
        True,
        "DescribeInstances",
    ),
    Kind(
        "role on an instance",
        "ecs",
        "AttachInstanceRamRole",
        "DetachInstanceRamRole",
        ("RamRoleName", "InstanceIds"),
        looked_for_by="DescribeInstanceRamRole",
    ),
    Kind(
        "security group rule",
        "ecs",
        "AuthorizeSecurityGroup",
        "RevokeSecurityGroup",
        ("SecurityGroupId", "IpProtocol", "PortRange", "SourceCidrIp", "SourceGroupId"),
    ),
)
