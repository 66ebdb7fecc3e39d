"""The account as the documented procedure leaves it before each step, for the caller's names.

Step 1 begins with an instance and a bucket. Step 2 adds the role with its policy, step 3 attaches
it to the instance. No file passes from one notebook to the next: each starts from here.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .account import (
    AccessKey,
    Account,
    Bucket,
    Instance,
    Policy,
    PolicyVersion,
    Role,
    StoredObject,
    User,
)

# Throw-away values; ids are masked as the documentation masks them.
ACCOUNT_ID = "1234567890123456"
CLASSIC_INSTANCE_ID = "i-bYYYYYYYY"
FOREIGN_BUCKET = "examplebucket"
OBJECTS = {"ramroletest.txt": b"hello world", "test.shh": b"#!/bin/sh\necho hello\n"}
ALPHANUMERIC = string.ascii_letters + string.digits

TRUST_POLICY = json.dumps(
    {
        "Statement": [
            {
                "Action": "sts:AssumeRole",
                "Effect": "Allow",
                "Principal": {"Service": ["ecs.aliyuncs.com"]},
            }
        ],
        "Version": "1",
    }
)
READ_ONLY_POLICY = json.dumps(
    {
        "Statement": [{"Action": ["oss:Get*", "oss:List*"], "Effect": "Allow", "Resource": "*"}],
        "Version": "1",
    }
)


class Names(NamedTuple):
    """The caller's own names. The defaults are those of the documented procedure."""

    region_id: str = "cn-hangzhou"
    role_name: str = "EcsRamRoleTest"
    policy_name: str = "EcsRamRolePolicyTest"
    instance_id: str = "i-bXXXXXXXX"
    image_id: str = "centos_7_03_64_40G_alibase_20170503.vhd"
    instance_type: str = "ecs.g6.large"
    v_switch_id: str = "vsw-bp1ygryo03m39xhsy****"
    security_group_id: str = "sg-bp67acfmxazb4p****"
    bucket_name: str = "ramroletest"
    endpoint: str = "oss-cn-hangzhou.aliyuncs.com"

    @property
    def bucket_region_id(self) -> str:
        """The bucket is where its endpoint is."""
        return re.sub(r"^oss-|(-internal)?\.aliyuncs\.com$", "", self.endpoint)


def names_from(parameters: Mapping[str, Any]) -> Names:
    """The names among a notebook's parameters; documented ones for those it does not have."""
    return Names(**{name: parameters[name] for name in Names._fields if name in parameters})


def account_before(step: int, names: Names, now: datetime) -> Account:
    """The account before ``step`` (1 to 4) of the procedure, as of ``now``."""
    account = Account(ACCOUNT_ID, names.region_id)
    add_key(account)
    _add_network(account, names)
    _add_instances(account, names, now - timedelta(days=30))
    _add_buckets(account, names, now - timedelta(days=30))
    if step >= 2:
        _add_role(account, names, now - timedelta(hours=1))
    if step >= 3:
        account.instances[names.instance_id].role_name = names.role_name
        account.here = names.instance_id
    return account


def add_key(account: Account, user_name: str = "") -> AccessKey:
    """A new key pair: the account's own, or that of the RAM user ``user_name``."""
    key = AccessKey(
        account.mint("LTAI5t", 18, ALPHANUMERIC), account.mint("", 30, ALPHANUMERIC), user_name
    )
    account.access_keys[key.access_key_id] = key
    return key


def add_user(account: Account, user_name: str, documents: dict[str, str]) -> AccessKey:
    """A RAM user with these policies (name to document), and a key for it."""
    account.users[user_name] = User(user_name, account.mint("2", 17), documents)
    return add_key(account, user_name)


def _add_network(account: Account, names: Names) -> None:
    account.v_switches[names.v_switch_id] = {
        "VpcId": "vpc-bp1e0g399hkd7c8q****",
        "ZoneId": f"{names.region_id}-i",
        "CidrBlock": "192.168.0.0/24",
    }
    account.security_groups[names.security_group_id] = []
    account.images.add(names.image_id)


def _add_instances(account: Account, names: Names, created: datetime) -> None:
    in_vpc = {
        "ImageId": names.image_id,
        "InstanceType": names.instance_type,
        "InstanceName": names.instance_id,
        "HostName": f"iZ{names.instance_id[2:]}Z",
        "VSwitchId": names.v_switch_id,
        "SecurityGroupId": names.security_group_id,
        "PrivateIpAddress": "192.168.0.10",
    }
    account.instances[CLASSIC_INSTANCE_ID] = Instance(
        CLASSIC_INSTANCE_ID, names.region_id, created, network_type="classic"
    )
    # The caller's own comes last: should it have that id, it is the one.
    account.instances[names.instance_id] = Instance(
        names.instance_id, names.region_id, created, attributes=in_vpc
    )


def _add_buckets(account: Account, names: Names, created: datetime) -> None:
    bucket = Bucket(names.bucket_name, names.bucket_region_id, created)
    for key, body in OBJECTS.items():
        bucket.objects[key] = StoredObject(key, body, created)
    account.buckets[bucket.name] = bucket
    account.foreign_buckets |= {FOREIGN_BUCKET} - {bucket.name}


def _add_role(account: Account, names: Names, created: datetime) -> None:
    policy = Policy(names.policy_name, "Custom", created)
    policy.versions.append(PolicyVersion("v1", READ_ONLY_POLICY, created))
    account.policies["Custom", policy.name] = policy
    role = Role(names.role_name, account.mint("3", 16), TRUST_POLICY, created)
    role.attached["Custom", policy.name] = created
    account.roles[role.name] = role
