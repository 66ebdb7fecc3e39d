"""What ECS's Describe operations show of an instance, and which instances their filters keep.

``facts`` gathers everything known of an instance in one flat mapping by the API's names; ``fits``
compares it with the filters and ``shown`` nests it as DescribeInstances does. What cannot be known
here is left out (an image's OSName, the size of a rare type) or stays as recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from .account import Instance
from .ecs_parameters import FILTERS, number
from .rpc import Call, Values

COMPARED = "VpcId VSwitchId ZoneId ImageId InstanceType SecurityGroupId"
GIB_FOR_ONE_CPU = {"c": 2, "g": 4, "r": 8}


def facts(call: Call, instance: Instance) -> dict[str, Any]:
    """Everything known of ``instance``, by the API's names; filters find ``""`` for the rest."""
    attributes = instance.attributes
    v_switch = call.account.v_switches.get(attributes.get("VSwitchId", ""), {})
    return {
        **dict.fromkeys([*COMPARED.split(), "HostName", "Description"], ""),
        "VpcId": v_switch.get("VpcId", ""),
        "ZoneId": v_switch.get("ZoneId", ""),
        "InstanceName": instance.instance_id,
        "CreationTime": minute(instance.created),
        "StartTime": minute(instance.created),
        **attributes,
        "InstanceId": instance.instance_id,
        "RegionId": instance.region_id,
        "Status": instance.status_at(call.now),
        "InstanceNetworkType": instance.network_type,
        "MetadataOptions": _metadata_options(call, instance),
    }


def _metadata_options(call: Call, instance: Instance) -> dict[str, str]:
    """They are shown to who asks for them; else both are empty."""
    if "META_OPTIONS" not in call.listed("AdditionalAttributes"):
        return {}
    return {"HttpEndpoint": instance.http_endpoint, "HttpTokens": instance.http_tokens}


def fits(call: Call, known: Mapping[str, Any]) -> bool:
    """Whether an instance's facts meet every filter of the call."""
    compared = (name for name in [*FILTERS, *COMPARED.split()] if call[name])
    # The star is the only wildcard.
    pattern = re.sub(r"([\[?])", r"[\1]", call["InstanceName"] or "*")
    wanted, tags = _tags(dict(call)), _tags(known)
    return (
        all(known[name] == call[name] for name in compared)
        and fnmatchcase(known["InstanceName"], pattern)
        and all(key in tags and value in ("", tags[key]) for key, value in wanted.items())
    )


def _tags(values: Mapping[str, Any]) -> dict[str, str]:
    named = (re.fullmatch(r"Tag\.([0-9]+)\.Key", name) for name in values)
    return {values[m[0]]: values.get(f"Tag.{m[1]}.Value", "") for m in named if m}


def shown(known: Mapping[str, Any]) -> dict[str, Any]:
    """An instance's facts as DescribeInstances nests them."""
    tags = [{"TagKey": key, "TagValue": value} for key, value in _tags(known).items()]
    stopped = known["Status"] == "Stopped"
    windows = known["ImageId"].startswith("win")
    return {
        **known,
        **_size(known["InstanceType"]),
        **_addresses(known),
        "InstanceTypeFamily": known["InstanceType"].rpartition(".")[0],
        "OSType": "windows" if windows else "linux",
        "StoppedMode": known.get("StoppedMode", "KeepCharging") if stopped else "Not-applicable",
        "InternetMaxBandwidthOut": int(known.get("InternetMaxBandwidthOut", 0)),
        "InternetChargeType": known.get("InternetChargeType", "PayByTraffic"),
        "SecurityGroupIds": {"SecurityGroupId": _if_any(known["SecurityGroupId"])},
        "Tags": {"Tag": tags} if tags else None,
    }


def _addresses(known: Mapping[str, Any]) -> dict[str, Any]:
    private = known.get("PrivateIpAddress", "")
    interface = {
        "PrimaryIpAddress": private,
        "NetworkInterfaceId": known["InstanceId"].replace("i-", "eni-", 1),
    }
    return {
        "VpcAttributes": {"PrivateIpAddress": {"IpAddress": _if_any(private)}},
        "PublicIpAddress": {"IpAddress": _if_any(known.get("PublicIpAddress", ""))},
        "NetworkInterfaces": {"NetworkInterface": [interface]},
        "EipAddress": {"InternetChargeType": ""},
    }


def _if_any(value: str) -> list[str]:
    return [value] if value else []


def _size(instance_type: str) -> dict[str, Any]:
    """vCPUs and MiB, where the families c, g and r have them by rule.

    https://www.alibabacloud.com/help/en/ecs/user-guide/overview-of-instance-families
    """
    found = re.fullmatch(r"ecs\.([cgr])[0-9]\w*\.(([2-9]?)x)?large", instance_type)
    if found is None:
        return {"Cpu": None, "Memory": None, "CpuOptions": None}
    cpu = 4 * int(found[3] or 1) if found[2] else 2
    memory = 1024 * cpu * GIB_FOR_ONE_CPU[found[1]]
    return {"Cpu": cpu, "Memory": memory, "CpuOptions": {"CoreCount": cpu // 2}}


def page(call: Call, name: str, entries: Sequence[Mapping[str, Any]], largest: int) -> Values:
    """One page of ``entries`` under ``name``, with at most ``largest`` (10 by default) of them."""
    at, size = number(call, "PageNumber", 1, 10**9), number(call, "PageSize", 10, largest)
    return {
        name: entries[(at - 1) * size : at * size],
        "TotalCount": len(entries),
        "PageNumber": at,
        "PageSize": size,
    }


def minute(moment: datetime) -> str:
    """A time as ECS writes it: UTC, to the minute."""
    return moment.strftime("%Y-%m-%dT%H:%MZ")
