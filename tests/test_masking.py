"""No canary survives masking, wherever it is planted, and what is no secret stays readable."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote

import pytest

from helpers.masking import mask_body, mask_headers, mask_key_id, mask_text, mask_url

KEY_ID = "STS.NUcanaryKey4711idid1"
SECRET = "canarySecret7Yx+/qW=="
TOKEN = "CAIScanaryToken0815+/abcdefghijklmnopqrstuv=="
SIGNATURE = "canarySignature1234+/abcdef="
PASSWORD = "canary:Pass,word;9)"
HEX = " ".join(f"{byte:02X}" for byte in TOKEN.encode())
FIELDS = {"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET, "SecurityToken": TOKEN}
STRING_TO_SIGN = f"GET\n\n\nFri, 09 Jun 2017 03:20:00 GMT\nx-oss-security-token:{TOKEN}\n/b/k"
RPC_QUERY = "&".join(
    f"{name}={quote(value, safe='')}"
    for name, value in [*FIELDS.items(), ("Action", "GetRole"), ("Password", "canaryA&b")]
)
RPC_STRING_TO_SIGN = f"POST&%2F&{quote(RPC_QUERY, safe='')}"
XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>SignatureDoesNotMatch</Code>\n'
    f"  <OSSAccessKeyId>{KEY_ID}</OSSAccessKeyId>\n"
    f"  <SignatureProvided>{SIGNATURE}</SignatureProvided>\n"
    f"  <StringToSign>{STRING_TO_SIGN}</StringToSign>\n"
    f"  <StringToSignBytes>{HEX} </StringToSignBytes>\n"
    f"  <SecurityToken>{TOKEN}</SecurityToken>\n  <EC>0002-00000040</EC>\n</Error>\n"
)
X_OSS_ERR = base64.b64encode(XML.encode()).decode()
V4 = (
    f"OSS4-HMAC-SHA256 Credential={KEY_ID}/20261124/cn-hangzhou/oss/aliyun_v4_request"
    ",AdditionalHeaders=host,Signature=canary0123456789abcdef"
)
HEADERS = {
    "Authorization": f"OSS {KEY_ID}:{SIGNATURE}",
    "x-oss-security-token": TOKEN,
    "X-Aliyun-Ecs-Metadata-Token": "canaryMetadataToken",
    "x-oss-err": X_OSS_ERR,
    "Cookie": "session=canary",
    "x-oss-meta-note": "canary",
}

TEXTS = {
    "query": f"https://ram.aliyuncs.com/?Action=GetRole&Signature={quote(SIGNATURE)}&{RPC_QUERY}",
    "signed url": f"https://b.oss-cn-hangzhou.aliyuncs.com/k?OSSAccessKeyId={KEY_ID}&Expires=17"
    f"&Signature={quote(SIGNATURE, safe='')}&security-token={quote(TOKEN, safe='')}",
    "signed url v4": f"/k?x-oss-credential={quote(KEY_ID + '/20261124/cn-hangzhou', safe='')}"
    f"&x-oss-signature=canary01&x-oss-security-token={quote(TOKEN, safe='')}",
    "exception": "SDK.HttpError HTTPSConnectionPool(host='ram.aliyuncs.com', port=443): Max retries"
    f" exceeded with url: /?{RPC_QUERY}&Signature={quote(SIGNATURE, safe='')} (Caused by OSError)",
    "rpc string to sign": f"server string to sign is:{RPC_STRING_TO_SIGN}",
    "rpc string to sign, encoded again": quote(RPC_STRING_TO_SIGN, safe=""),
    "oss string to sign": STRING_TO_SIGN,
    "json": json.dumps(FIELDS),
    "json as the metadata address lays it out": json.dumps(
        FIELDS, indent=0, separators=(",", " : ")
    ),
    "json in json": json.dumps({"body": json.dumps(FIELDS)}),
    "json in json in json": json.dumps([json.dumps({"body": json.dumps(FIELDS)})]),
    "repr": repr(FIELDS),
    "repr of bytes": repr({"AccessKeySecret": SECRET.encode()}),
    "html": json.dumps(FIELDS).replace('"', "&quot;"),
    "password": json.dumps({"Password": 'canary"quoted, {canary}'}),
    "password in python": f"request.set_Password(); password = '{PASSWORD}'",
    "environment": f"ALIBABA_CLOUD_ACCESS_KEY_SECRET={SECRET} OSS_SESSION_TOKEN={TOKEN}",
    "keyword arguments": f"Credential(access_key_id='{KEY_ID}', access_key_secret='{SECRET}')",
    "xml": XML,
    "xml with cdata": f"<Password>\n<![CDATA[{PASSWORD}<canary>]]></Password>",
    "oss2 details": str({"status": 403, "details": {"StringToSign": STRING_TO_SIGN, "EC": "1"}}),
    "bytes to sign": str({"StringToSignBytes": HEX}),
    "headers": "\n".join(f"> {name}: {value}" for name, value in list(HEADERS.items())[:4]),
    "headers, repr": repr(dict(list(HEADERS.items())[:4])),
    "header pairs": repr(list(HEADERS.items())[:4]),
    "v4 header": f"authorization: {V4}",
    "v4 header, repr": repr({"authorization": V4}),
    "header value alone": "OSS key-id-canary:canaryCanaryCanaryCanary012=",
    "scope of a key of any look": "Credential=key-id-canary/20261124/oss,Signature=canary",
    "key and token without names": f"{KEY_ID} {TOKEN}",
    "proxy": "http://user:canary@proxy.example:8080/",
    "user data": json.dumps({"UserData": "Y2FuYXJ5canary"}),
}


def leaks(text: str) -> bool:
    errors = re.findall("PD94bWw[A-Za-z0-9+/=]+", text)  # "<?xml" in base64
    unpacked = text + "".join(base64.b64decode(error).decode() for error in errors)
    return "canary" in unpacked or HEX[:40] in unpacked


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_canary_survives(text: str) -> None:
    assert leaks(text)
    masked = mask_text(text)
    assert not leaks(masked), masked
    assert mask_text(masked) == masked


@pytest.mark.parametrize("name", ["query", "signed url", "signed url v4", "proxy"])
def test_no_canary_survives_in_a_url(name: str) -> None:
    masked = mask_url(TEXTS[name])
    assert not leaks(masked), masked
    assert mask_url(masked) == masked


def test_a_url_cannot_hide_a_name_by_encoding_it() -> None:
    url = "https://ecs.aliyuncs.com/?P%61ssword=canary'%26canary&Action=StartInstance"
    assert mask_url(url) == "https://ecs.aliyuncs.com/?P%61ssword=****&Action=StartInstance"


def test_an_empty_value_is_shown_to_be_empty() -> None:
    assert mask_url("https://ecs.aliyuncs.com/?AccessKeyId=&Password=") == (
        "https://ecs.aliyuncs.com/?AccessKeyId=&Password="
    )


def test_the_text_around_a_secret_is_kept() -> None:
    text = f"(url: /?Signature={SIGNATURE}) and (AccessKeyId={KEY_ID}, SecurityToken={TOKEN}), too"
    assert mask_text(text) == (
        "(url: /?Signature=****) and (AccessKeyId=STS.NU****, SecurityToken=CAIS****), too"
    )


def test_headers_show_only_what_is_known_to_be_harmless() -> None:
    masked = mask_headers({**HEADERS, "Host": "ram.aliyuncs.com", "Content-Length": "17"})
    assert not any(leaks(value) for value in masked.values()), masked
    assert masked["Authorization"] == "OSS STS.NU****:****"
    assert mask_headers({"Authorization": "OSS ak:can="}) == {"Authorization": "OSS ****:****"}
    assert masked["x-oss-security-token"] == "CAIS****"
    assert (masked["Host"], masked["Content-Length"]) == ("ram.aliyuncs.com", "17")
    assert masked["Cookie"] == masked["x-oss-meta-note"] == "****"
    assert mask_headers(masked) == masked


def test_the_error_of_a_head_request_stays_readable() -> None:
    masked = mask_headers({"x-oss-err": X_OSS_ERR})["x-oss-err"]
    assert "<Code>SignatureDoesNotMatch</Code>" in base64.b64decode(masked).decode()


def test_the_scope_of_a_v4_signature_stays_readable() -> None:
    assert mask_headers({"authorization": V4})["authorization"] == (
        "OSS4-HMAC-SHA256 Credential=STS.NU****/20261124/cn-hangzhou/oss/aliyun_v4_request"
        ",AdditionalHeaders=host,Signature=****"
    )


def test_json_and_xml_keep_their_structure() -> None:
    document = {**FIELDS, "Expiration": "2017-06-09T09:17:19Z", "Code": "Success"}
    masked = json.loads(mask_body(json.dumps(document, indent=1).encode()))
    assert masked == {
        "AccessKeyId": "STS.NU****",
        "AccessKeySecret": "****",
        "SecurityToken": "CAIS****",
        "Expiration": "2017-06-09T09:17:19Z",
        "Code": "Success",
    }
    assert mask_body(XML.encode()).splitlines()[-3:] == [
        "  <SecurityToken>CAIS****</SecurityToken>",
        "  <EC>0002-00000040</EC>",
        "</Error>",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "InvalidSecurityToken.Expired: Specified SecurityToken is expired.",
        "InvalidPassword: The specified parameter is not valid.",
        '{"NextToken": "AAAAAdDWBF2", "ClientToken": "5f2a"}',
        "/?list-type=2&continuation-token=ChR1c2VyL2U&max-keys=10",
        "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=5f&Timestamp=2026-11-24",
        "HTTP Status: 404 Error:EntityNotExist.Role The role not exists. RequestID: 04F0F334-1335",
        "http://100.100.100.200/latest/meta-data/ram/security-credentials/EcsRamRoleTest",
        "acs:ram::123456789012****:role/EcsRamRoleTest may call STS.AssumeRole",
        "<Contents><Key>ramroletest.txt</Key><ETag>&quot;5B3C1A2E&quot;</ETag></Contents>",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert mask_text(text) == text


def test_a_binary_body_is_named_by_its_size() -> None:
    assert mask_body(b"\xff\xfe canary") == "<9 bytes>"


@pytest.mark.parametrize(
    ("key_id", "shown"), [(KEY_ID, "STS.NU****"), ("LTAI5tCanary", "LTAI5t****"), ("ak", "****")]
)
def test_a_key_id_keeps_its_kind(key_id: str, shown: str) -> None:
    assert mask_key_id(key_id) == shown
    assert mask_key_id(shown) == shown
