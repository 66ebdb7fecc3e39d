"""What a recording may hold: each field that somebody has judged, and what no field may show.

A field that stands in none of these lists has not been judged.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from ..masking import mask_text


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


HARMLESS = _names(
    """ArgumentName AuthAction AuthPrincipalType Code DefaultVersion Delimiter EC EncodingType
    FailCount IdentityType IsDefaultVersion IsTruncated KeyCount MaxAllowedSkewMilliseconds MaxKeys
    MaxSessionDuration NoPermissionType PageNumber PageSize PolicyType Region RegionId Size Status
    StorageClass Success TotalCount Type VersionId ZoneId"""
)
REPLACED = _names(
    """AccessKeyId AccessKeySecret AccountId AttachDate AuthPrincipalDisplayName
    AuthPrincipalOwnerId Bucket BucketName CreateDate CreationDate DisplayName ETag
    Description EncodedDiagnosticMessage Expiration ID InstanceId IpAddress Key LastModified
    LastUpdated Marker Name NextMarker OSSAccessKeyId PolicyName Prefix PrincipalId RamRoleName
    RequestId RoleId RoleName SecurityToken ServerTime SignatureProvided StringToSign
    StringToSignBytes UpdateDate
    User UserId VSwitchId VpcId"""
)
TEXT = _names("Arn AssumeRolePolicyDocument Endpoint HostId Message PolicyDocument RecommendDoc")
# Of these several are told apart; any other value is always the same sample.
NUMBERED = _names("Bucket BucketName InstanceId Key Name PolicyName RamRoleName RoleName VSwitchId")
SUFFIXES = ("", "-fc", "-2", "s", "-misspelt")  # what the notebooks add to their own names
METADATA_FIELDS = {
    "instance-id": "InstanceId",
    "ram-role-name": "RamRoleName",
    "region-id": "RegionId",
    "token": "SecurityToken",
    "vpc-id": "VpcId",
    "vswitch-id": "VSwitchId",
    "zone-id": "ZoneId",
}
_DOCUMENTED = re.compile(r"203\.0\.113\.\d+|192\.168\.\d+\.\d+|100\.100\.100\.200|1234567890123456")
_TELLING = re.compile(
    r"[\w.+-]+@[\w-]+\.\w+|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b\d{15,17}\b|\b[a-z]{1,4}-[a-z0-9]{17,}\b"
)


def telling(text: str) -> str:
    """What in ``text`` looks like an id, an address or a secret, in words; "" if nothing does."""
    rest = _DOCUMENTED.sub("", text)
    if found := _TELLING.search(rest):
        return f"what looks like an id or an address ({found[0][:4]}…)"
    words = re.findall(r"[A-Za-z0-9+/=]{24,}", rest)
    if mask_text(rest) != rest or any(_entropy(word) > 4.2 for word in words):
        return "what looks like a secret"
    return ""


def _entropy(word: str) -> float:
    """Shannon's, in bits a character: text has about 3.5, a random key 4.5 and more."""
    shares = [count / len(word) for count in Counter(word).values()]
    return -sum(share * math.log2(share) for share in shares)
