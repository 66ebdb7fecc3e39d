"""The recordings: each has a source, none has a secret, every refusal has one, and filling them."""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from helpers.recordings import COMMON, Recording, fill, load

ROOT = Path(__file__).parents[1] / "helpers" / "recordings"
SANDBOX = ROOT.parent / "sandbox"
SERVICES = sorted(path.parent.name for path in ROOT.glob("*/sources.json"))
FILES = sorted(
    str(path.relative_to(ROOT))
    for path in ROOT.rglob("*")
    if path.suffix in (".json", ".xml", ".txt") and path.name != "sources.json"
)
PROVENANCE = {"recorded", "documented", "seen in the wild", "modelled"}
RECORDINGS = load()


def sources(service: str) -> dict[str, Any]:
    return json.loads((ROOT / service / "sources.json").read_text("utf-8"))


def entry(file: str) -> dict[str, str]:
    service, _, name = file.partition("/")
    return sources(service)["recordings"][name]


# Every file has a source


@pytest.mark.parametrize("service", SERVICES)
def test_files_and_sources_are_the_same(service: str) -> None:
    files = {file.partition("/")[2] for file in FILES if file.startswith(f"{service}/")}
    assert files == set(sources(service)["recordings"])


def test_nothing_else_lies_among_the_recordings() -> None:
    others = [p for p in ROOT.rglob("*") if p.is_file() and p.name != "sources.json"]
    assert sorted(str(p.relative_to(ROOT)) for p in others) == FILES


@pytest.mark.parametrize("file", FILES)
def test_a_source_says_where_the_body_comes_from(file: str) -> None:
    source = entry(file)
    assert source["provenance"] in PROVENANCE
    assert source["provenance"] == "recorded" or source["source"].startswith("https://")
    assert source["provenance"] != "modelled" or source["note"]


# Bodies


@pytest.mark.parametrize("file", FILES)
def test_the_body_is_what_its_file_name_says(file: str) -> None:
    body = (ROOT / file).read_text("utf-8")
    assert re.fullmatch(r"[\w-]+/[\w-]+/[1-5]\d\d(\.[\w.]+)?\.(json|xml|txt)", file)
    if file.endswith(".json"):
        assert isinstance(json.loads(body), dict)
    if file.endswith(".xml"):
        # Documented OSS listings carry a namespace, which the service does not send.
        assert "xmlns" not in body
        assert ElementTree.fromstring(body).tag


@pytest.mark.parametrize(
    "file", [file for file in FILES if re.search(r"/[45]\d\d\..*(json|xml)$", file)]
)
def test_the_code_is_that_of_the_file_name(file: str) -> None:
    body = (ROOT / file).read_text("utf-8")
    code = re.search(r'"Code": "(.*)"|<Code>(.*)</Code>', body)
    assert code is not None
    named = file.rpartition("/")[2].partition(".")[2].rpartition(".")[0]
    # A file may tell cases apart that share a code: AccessDenied.ImplicitDeny. RAM and STS name the
    # parameter in the code: MissingRoleName.
    assert f"{named}.".startswith(f"{code[1] or code[2]}.") or named == "MissingParameter"


# The documentation masks a value's end by asterisks.
KEY = re.compile(r"\b(LTAI|AKIA|STS\.|CAIS)[0-9A-Za-z+/]{14,}(?![0-9A-Za-z+/*])")
ACCOUNT = re.compile(r"(?<![0-9])[0-9]{15,18}(?![0-9*])")
WORD = re.compile(r"[0-9A-Za-z+/=]{20,}(?![0-9A-Za-z+/=*])")


def bits_a_character(text: str) -> float:
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def looks_secret(body: str) -> list[str]:
    # Of 20 random characters of base64, hardly any fall below 3.5 bits; a name mixes fewer kinds.
    kinds = (str.islower, str.isupper, str.isdigit)
    random = [
        word
        for word in WORD.findall(re.sub(r"https?://\S+", "", body))
        if bits_a_character(word) > 3.5 and all(any(map(kind, word)) for kind in kinds)
    ]
    return [match[0] for pattern in (KEY, ACCOUNT) for match in pattern.finditer(body)] + random


@pytest.mark.parametrize("file", FILES)
def test_no_body_holds_a_secret(file: str) -> None:
    assert looks_secret((ROOT / file).read_text("utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "LTAI5t" + "Q7w3Zk9Lm2Xc8Vb4Nd",
        "STS.N" + "TqP3x8ZsW5kR7vB2mC9fD4hJ",
        "CAIS" + "hQJ1q6Ft5B2yfSjIr5bUAvrB",
        "x9Kq2Lw8Rz4Tn6Yb1Mc5Vd7Pf3Hs0Jg",
        "1234567890123456",
    ],
)
def test_a_planted_secret_is_found(planted: str) -> None:
    assert looks_secret(json.dumps({"Field": planted}))


# Every refusal that the stand-in can give has a recording


def raised_codes(module: str) -> Iterator[str]:
    """What ``ServiceError(…)`` names, and whatever else looks like an error's code, as patterns.

    ``SystemDisk.Size`` and its like look so and are parameters.
    """
    for node in ast.walk(ast.parse((SANDBOX / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ServiceError":
            yield from patterns(node.args[0])
        if isinstance(node, ast.Constant) and re.fullmatch(
            r"(?!SystemDisk)[A-Z]\w+(\.[A-Z]\w+)+", str(node.value)
        ):
            yield from patterns(node)


def patterns(node: ast.expr) -> Iterator[str]:
    """A formatted part of a code stands for any text."""
    if isinstance(node, ast.Constant):
        yield re.escape(str(node.value))
    if isinstance(node, ast.JoinedStr):
        parts = [
            re.escape(getattr(part, "value", "")) if isinstance(part, ast.Constant) else ".+"
            for part in node.values
        ]
        yield "".join(parts)


RPC = ("ram", "sts", "ecs")
ANSWERS_FOR = {
    "rpc": RPC,
    "ram": ("ram",),
    "sts": ("sts",),
    "ecs": ("ecs",),
    "ecs_parameters": ("ecs",),
    "metadata": ("metadata",),
    "oss": ("oss",),
    "oss_gateway": ("oss",),
    "oss_listing": ("oss",),
}
RAISED = {
    (service, code)
    for module, services in ANSWERS_FOR.items()
    for code in raised_codes(module)
    for service in services
}
# ECS takes plain HTTP. Of what the signatures raise, one error is the gateway's, the rest is OSS's.
RAISED -= {("ecs", re.escape("InvalidProtocol.NeedSsl"))}
RAISED |= {
    (service, code)
    for code in raised_codes("signatures")
    for service in (RPC if code == "IncompleteSignature" else ("oss",))
}


@pytest.mark.parametrize(("service", "code"), sorted(RAISED))
def test_a_code_that_is_raised_has_a_recording(service: str, code: str) -> None:
    recorded = {recording.code for recording in RECORDINGS if recording.service == service}
    assert any(re.fullmatch(code, name) for name in recorded)


@pytest.mark.parametrize(
    "found",
    [
        ("ram", re.escape("EntityAlreadyExists.Role")),
        ("ram", r"InvalidParameter\..+\.Length"),
        ("sts", re.escape("InvalidSecurityToken.Expired")),
        ("ecs", "DryRunOperation"),
        ("metadata", "Unauthorized"),
        ("oss", "NoSuchKey"),
    ],
)
def test_the_codes_are_found_in_the_source(found: tuple[str, str]) -> None:
    assert found in RAISED


# Finding


def test_an_operation_s_own_recording_comes_before_the_common_one() -> None:
    own = RECORDINGS.find("ram", "DeleteRole", "DeleteConflict.Role.Policy")
    assert (own.operation, own.status) == ("DeleteRole", 409)
    common = RECORDINGS.find("ram", "GetRole", "EntityNotExist.Role")
    assert (common.operation, common.status) == (COMMON, 404)


def test_an_answer_that_nobody_recorded_is_a_fault_of_ours() -> None:
    with pytest.raises(LookupError, match="no recording of ram GetRole NoSuchCode"):
        RECORDINGS.find("ram", "GetRole", "NoSuchCode")


# Filling


def filled(body: str, values: dict[str, Any], media: str = "json") -> str:
    return fill(Recording("service", "Operation", 200, "", media, body, {}, {}), values)


@pytest.mark.parametrize(
    ("body", "values", "expected"),
    [
        ('{"A": 1, "B": {"A": 2}}', {}, {"A": 1, "B": {"A": 2}}),
        ('{"A": 1, "B": {"A": 2}}', {"A": 3}, {"A": 3, "B": {"A": 3}}),
        ('{"A": 1, "B": {"A": 2}}', {"B": {"A": 3}}, {"A": 1, "B": {"A": 3}}),
        ('{"A": 1, "B": {"A": 2}}', {"A": 4, "B": {"A": 3}}, {"A": 4, "B": {"A": 3}}),
        ('{"A": 1, "B": {"A": 2}}', {"C": 5}, {"A": 1, "B": {"A": 2}}),
        ('{"A": 1, "B": {"A": 2}}', {"B": {"C": 5}}, {"A": 1, "B": {"A": 2}}),
        ('{"A": 1, "B": {"A": 2}}', {"A": None}, {"B": {}}),
        ('{"A": 1, "B": {"A": 2}}', {"B": None}, {"A": 1}),
        ('{"A": 1, "B": {"A": 2}}', {"B": {"A": None}}, {"A": 1, "B": {}}),
        ('{"A": 1}', {"A": 0}, {"A": 0}),
        ('{"A": true}', {"A": False}, {"A": False}),
        ('{"A": "x"}', {"A": ""}, {"A": ""}),
        ('{"L": ["a", "b"]}', {"L": ["x"]}, {"L": ["x"]}),
        ('{"L": ["a"]}', {"L": []}, {"L": []}),
        ('{"L": []}', {"L": ["x", "y"]}, {"L": ["x", "y"]}),
        (
            '{"L": {"R": [{"A": 1, "B": 2}, {"A": 3, "B": 4}]}}',
            {"R": [{"A": 5}, {"A": 6}, {"A": 7}]},
            {"L": {"R": [{"A": 5, "B": 2}, {"A": 6, "B": 2}, {"A": 7, "B": 2}]}},
        ),
        (
            '{"L": {"R": [{"A": 1}, {"A": 3}]}}',
            {"L": {"R": [{"A": 5}]}},
            {"L": {"R": [{"A": 5}]}},
        ),
        ('{"L": {"R": [{"A": 1}, {"A": 3}]}}', {"A": 9}, {"L": {"R": [{"A": 9}, {"A": 9}]}}),
        (
            '{"R": [{"L": [{"A": 1}]}]}',
            {"R": [{"L": []}, {"L": [{"A": 2}, {"A": 3}]}]},
            {"R": [{"L": []}, {"L": [{"A": 2}, {"A": 3}]}]},
        ),
        ('{"名": "x"}', {"名": "管理"}, {"名": "管理"}),
    ],
)
def test_json_is_filled_by_field_names(body: str, values: dict[str, Any], expected: Any) -> None:
    assert json.loads(filled(body, values)) == expected


def test_json_keeps_the_order_of_the_recording() -> None:
    assert filled('{"B": 1,\n "A": 2}', {"A": 3, "B": 4}) == '{"B":4,"A":3}'


def test_json_with_a_field_a_line_keeps_its_layout() -> None:
    body = '{\n"A" : "1",\n"B" : "2"\n}'
    assert filled(body, {"B": "3"}) == '{\n"A" : "1",\n"B" : "3"\n}'


def test_filling_leaves_the_recording_as_it_is() -> None:
    recording = RECORDINGS.find("ram", "ListRoles")
    before = json.dumps(recording.tree)
    fill(recording, {"Role": [{"RoleName": "x"}], "IsTruncated": False, "Marker": None})
    assert json.dumps(recording.tree) == before


@pytest.mark.parametrize(
    ("body", "values", "expected"),
    [
        ("<R><A>1</A><B><A>2</A></B></R>", {}, "<R><A>1</A><B><A>2</A></B></R>"),
        ("<R><A>1</A><B><A>2</A></B></R>", {"A": 3}, "<R><A>3</A><B><A>3</A></B></R>"),
        ("<R><A>1</A><B><A>2</A></B></R>", {"B": {"A": 3}}, "<R><A>1</A><B><A>3</A></B></R>"),
        ("<R><A>1</A><B><A>2</A></B></R>", {"B": None}, "<R><A>1</A></R>"),
        ("<R><A>1</A></R>", {"A": ""}, "<R><A></A></R>"),
        ("<R><A>1</A></R>", {"A": "<&>"}, "<R><A>&lt;&amp;&gt;</A></R>"),
        ("<R><A></A></R>", {}, "<R><A></A></R>"),
        ("<R><C>1</C><C>2</C></R>", {"C": []}, "<R></R>"),
        ("<R><C>1</C><C>2</C></R>", {"C": ["a", "b", "c"]}, "<R><C>a</C><C>b</C><C>c</C></R>"),
        (
            "<R><C><K>1</K><S>9</S></C><C><K>2</K><S>8</S></C><M>m</M></R>",
            {"C": [{"K": "a"}, {"K": "b"}]},
            "<R><C><K>a</K><S>9</S></C><C><K>b</K><S>9</S></C><M>m</M></R>",
        ),
        (
            "<R><L><C><O><K>1</K></O></C></L></R>",
            {"L": {"C": [{"O": {"K": "a"}}]}},
            "<R><L><C><O><K>a</K></O></C></L></R>",
        ),
    ],
)
def test_xml_is_filled_by_element_names(body: str, values: dict[str, Any], expected: str) -> None:
    text = filled(body, values, "xml")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    assert re.sub(r"\n\s*", "", text.partition("\n")[2]) == expected


@pytest.mark.parametrize(("values", "expected"), [({"text": "new"}, "new"), ({"A": 1}, "old")])
def test_text_is_replaced_as_a_whole(values: dict[str, Any], expected: str) -> None:
    assert filled("old", values, "txt") == expected
