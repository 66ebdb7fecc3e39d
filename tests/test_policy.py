"""The policy evaluator, against the documented policies and against what could go wrong.

``policy_cases.yaml`` has the tables of what is allowed, denied and covered, with the reasons. Here
are the sentences (of malformed documents, of near misses) and the rules that hold for any policy.
"""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.policy import (
    MAX_CHARACTERS,
    OPERATORS,
    Decision,
    Policy,
    PolicyError,
    UnsupportedPolicy,
    both_must_allow,
    decide,
    matches,
    parse,
    trusts,
)

CASES = yaml.safe_load(Path(__file__).with_name("policy_cases.yaml").read_text("utf-8"))
BUCKET = "acs:oss:*:1001:ramroletest"
OBJECT = "acs:oss:*:1001:ramroletest/a.txt"

moderate = settings(max_examples=60, deadline=None)
many = settings(max_examples=200, deadline=None)


def rows(table: str, documents: str) -> list[Any]:
    return [
        pytest.param(group[documents], *row[:4], id=f"{group['name']}: {row[4]}")
        for group in CASES[table]
        for row in group["rows"]
    ]


def allow(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "oss:GetObject", "Resource": "*"} | elements


def policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "1", "Statement": list(statements)}


TUTORIAL = policy(allow(Action=["oss:Get*", "oss:List*"]))
TRUST = policy(
    {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": ["ecs.aliyuncs.com"]},
    }
)


# The tables


@pytest.mark.parametrize(
    "documents, action, resource, context, expected", rows("decisions", "documents")
)
def test_decision(documents, action, resource, context, expected):
    decision = decide(documents, action, resource, context)
    assert decision.effect == expected, decision.reason
    assert decision.allowed == (expected == "Allow")
    assert bool(decision.near_miss) == (decision.statement is None) == (expected == "ImplicitDeny")


@pytest.mark.parametrize("document, kind, principal, context, expected", rows("trust", "document"))
def test_trust(document, kind, principal, context, expected):
    decision = trusts(document, kind, principal, context)
    assert decision.effect == expected, decision.reason


@pytest.mark.parametrize("operator, wanted, actual, holds", CASES["operators"])
def test_operator(operator, wanted, actual, holds):
    document = policy(allow(Condition={operator: {"acs:Key": wanted}}))
    context = {} if actual is None else {"acs:Key": actual}
    assert decide(document, "oss:GetObject", OBJECT, context).allowed == holds


def test_every_operator_is_in_the_table_with_one_value_with_several_and_absent():
    seen = {
        (name, isinstance(wanted, list), actual is None)
        for name, wanted, actual, _ in CASES["operators"]
    }
    for name in OPERATORS:
        assert {(name, False, False), (name, True, False), (name, False, True)} <= seen


@pytest.mark.parametrize("pattern, text, covers", CASES["patterns"])
def test_pattern(pattern, text, covers):
    assert matches(text, pattern) == covers


def test_the_table_of_decisions_is_large_and_has_every_effect():
    effects = [row[3] for group in CASES["decisions"] for row in group["rows"]]
    assert len(effects) >= 150
    assert min(effects.count(effect) for effect in ("Allow", "ExplicitDeny", "ImplicitDeny")) >= 20


# How decisions combine

ALLOW, DENY, IGNORE = Decision("Allow"), Decision("ExplicitDeny"), Decision("ImplicitDeny")


@pytest.mark.parametrize(
    "merged, access_point, result",
    [
        (ALLOW, ALLOW, ALLOW),
        (ALLOW, DENY, DENY),
        (ALLOW, IGNORE, IGNORE),
        (DENY, ALLOW, DENY),
        (DENY, DENY, DENY),
        (DENY, IGNORE, DENY),
        (IGNORE, ALLOW, IGNORE),
        (IGNORE, DENY, DENY),
        (IGNORE, IGNORE, IGNORE),
    ],
)
def test_access_point_table(merged, access_point, result):
    """The table of OSS's page on access points; assuming a role combines by the same rule."""
    assert both_must_allow(merged, access_point) is result


def test_assuming_a_role_needs_the_caller_s_policies_and_the_role_s_trust():
    role = "acs:ram:*:1001:role/admin"
    trust = policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": "acs:ram::1001:root"}}
    )
    may = decide(policy(allow(Action="sts:AssumeRole")), "sts:AssumeRole", role)
    may_not = decide(TUTORIAL, "sts:AssumeRole", role)
    trusted = trusts(trust, "RAM", "acs:ram::1001:user/alice")
    stranger = trusts(trust, "RAM", "acs:ram::2002:user/bob")
    assert both_must_allow(may, trusted).allowed
    assert both_must_allow(may_not, trusted) is may_not
    assert both_must_allow(may, stranger) is stranger


# What a decision says


def test_a_decision_names_the_statement_and_its_policy():
    deny = policy(allow(), allow(Effect="Deny", Action="oss:DeleteObject"))
    named = [parse(TUTORIAL, name="EcsRamRolePolicyTest"), ("NoDeleting", json.dumps(deny))]
    allowed = decide(named, "oss:ListObjects", BUCKET)
    assert allowed.policy == "EcsRamRolePolicyTest"
    assert allowed.statement is not None and allowed.statement.number == 1
    assert allowed.reason == "Statement 1 of EcsRamRolePolicyTest allows it."
    denied = decide(named, "oss:DeleteObject", OBJECT)
    assert denied.reason == "Statement 2 of NoDeleting denies it."


def test_documents_without_a_name_are_counted():
    ecs = policy(allow(Action="ecs:*"))
    for second in (ecs, json.dumps(ecs), parse(ecs)):
        decision = decide([TUTORIAL, second], "ecs:StopInstance", "acs:ecs:*:1001:*")
        assert decision.policy == "policy 2"


def test_one_document_needs_no_list():
    for document in (TUTORIAL, json.dumps(TUTORIAL), parse(TUTORIAL)):
        assert decide(document, "oss:ListObjects", BUCKET).allowed


def test_the_account_s_own_key():
    decision = Decision.of_the_account()
    assert decision.allowed
    assert decision.reason == "The account itself needs no policy."


@pytest.mark.parametrize("case", CASES["near_misses"], ids=lambda case: case["why"])
def test_near_miss(case):
    documents = [parse(policy(*case["statements"]), name="P")] if case["statements"] else []
    decision = decide(documents, *case["request"])
    assert decision.effect == "ImplicitDeny"
    assert decision.near_miss == decision.reason == case["sentence"]


@pytest.mark.parametrize(
    "principal, context, sentence",
    [
        (
            "acs:ram::2002:saml-provider/x",
            {},
            "to Federated acs:ram::1001:saml-provider/x, "
            "not to Federated acs:ram::2002:saml-provider/x.",
        ),
        (
            "acs:ram::1001:saml-provider/x",
            {},
            "only if StringEquals saml:recipient 'here', but the request has no saml:recipient.",
        ),
    ],
)
def test_near_miss_of_a_trust_policy(principal, context, sentence):
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Federated": "acs:ram::1001:saml-provider/x"},
        "Condition": {"StringEquals": {"saml:recipient": "here"}},
    }
    decision = trusts(policy(statement), "Federated", principal, context)
    assert decision.near_miss == (
        f"Statement 1 of the trust policy allows sts:AssumeRole {sentence}"
    )


# Documents that are none


NO_VERSION = {"Statement": [allow()]}
DEEP_OR_LONG = "It is nested too deeply, or holds a number that is too long."
ONE_STATEMENT = "Statement must be a list of statements, at least one; it is"


@pytest.mark.parametrize(
    "document, fault",
    [
        ("", "It is not JSON: Expecting value at line 1, column 1."),
        ('{\n"Version" "1"}', "It is not JSON: Expecting ':' delimiter at line 2, column 11."),
        ("[]", "A policy must be an object; it is []."),
        ("null", "A policy must be an object; it is missing."),
        (7, "It must be JSON text or a mapping, not int."),
        (b"{}", "It must be JSON text or a mapping, not bytes."),
        (policy({"Effect": {1, 2}}), "It holds something that JSON cannot express."),
        ('{"Version": ' + "1" * 5000 + "}", DEEP_OR_LONG),
        (" " * 6145, "It has 6145 characters; at most 6144 are allowed."),
        ('{"Sid": 1, "Sid": 2}', "'Sid' is there 2 times in one object; keep one."),
        (NO_VERSION, "Version must be '1'; it is missing."),
        (NO_VERSION | {"Version": 1}, "Version must be '1'; it is 1."),
        (NO_VERSION | {"Version": "2012-10-17"}, "Version must be '1'; it is '2012-10-17'."),
        (policy() | {"Id": "x"}, "A policy has no element 'Id', only Version, Statement."),
        ({"Version": "1"}, f"{ONE_STATEMENT} missing."),
        (policy(), f"{ONE_STATEMENT} []."),
        ({"Version": "1", "Statement": allow(Effect="Deny")}, f"{ONE_STATEMENT} {{'Action': "
         "'oss:GetObject', 'Effect': 'Deny', 'Resource': '*'}."),
    ],
)  # fmt: skip
def test_malformed_document(document, fault):
    assert refusal(document) == (PolicyError, f"The policy document: {fault}")


def test_a_document_nested_too_deeply():
    """How deep is too deep, Python's versions see differently."""
    assert refusal("[" * 200_000, "trust") == (PolicyError, f"The policy document: {DEEP_OR_LONG}")
    assert "nested" in refusal("[" * 3000)[1] or "not JSON" in refusal("[" * 3000)[1]
    assert "object" in refusal("[" * 90 + "]" * 90)[1]


def refusal(document: Any, kind: Any = "identity") -> tuple[type[PolicyError], str]:
    with pytest.raises(PolicyError) as caught:
        parse(document, kind)
    assert str(caught.value) == f"{caught.value.where}: {caught.value.fault}"
    return caught.type, str(caught.value)


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (allow() | changes).items() if value is not None}


@pytest.mark.parametrize("why, changes, fault", CASES["malformed_statements"])
def test_malformed_statement(why, changes, fault):
    assert refusal(policy(changed(changes))) == (PolicyError, f"Statement 1: {fault}")
    assert refusal(policy(allow(), changed(changes)))[1] == f"Statement 2: {fault}"


@pytest.mark.parametrize("why, changes, fault", CASES["unsupported_statements"])
def test_what_ram_may_accept_is_told_from_what_it_refuses(why, changes, fault):
    assert refusal(policy(changed(changes))) == (UnsupportedPolicy, f"Statement 1: {fault}")


@pytest.mark.parametrize("body, found", [("x", "'x'"), (None, "missing"), ([allow()], "[{")])
def test_a_statement_that_is_no_object(body, found):
    message = refusal(policy(body))[1]
    assert message.startswith(f"Statement 1: A statement must be an object; it is {found}")


def test_null_is_no_action():
    assert "Action must be" in refusal(policy(allow(Action=None)))[1]


IDENTITY_ELEMENT = (
    "A statement has no element 'Resource', only "
    "Effect, Action, NotAction, Principal, Condition, Sid."
)
NO_PRINCIPAL = "must be a service or an ARN without wildcards, or a list of such; it is"


@pytest.mark.parametrize(
    "statement, fault",
    [
        ({}, "Principal must be an object; it is missing."),
        ({"Principal": "*"}, "Principal must be an object; it is '*'."),
        ({"Principal": {}}, "Principal must be an object that names whom to trust; it is {}."),
        ({"Principal": {"Service": []}}, f"Service {NO_PRINCIPAL} []."),
        (
            {"Principal": {"RAM": "acs:ram::123456789012****:root"}},
            f"RAM {NO_PRINCIPAL} 'acs:ram::123456789012****:root'.",
        ),
        (
            {"Principal": {"AWS": "x"}},
            "Principal has no element 'AWS', only Service, RAM, Federated.",
        ),
        ({"Principal": {"Service": "ecs.aliyuncs.com"}, "Resource": "*"}, IDENTITY_ELEMENT),
    ],
)
def test_malformed_trust_policy(statement, fault):
    document = policy({"Effect": "Allow", "Action": "sts:AssumeRole"} | statement)
    assert refusal(document, "trust") == (PolicyError, f"Statement 1: {fault}")


def test_an_error_names_the_policy_it_is_in():
    with pytest.raises(PolicyError, match=r"^Statement 1 of Broken: Effect"):
        decide([TUTORIAL, ("Broken", policy(allow(Effect="x")))], "oss:GetObject", OBJECT)
    with pytest.raises(PolicyError, match=r"^policy 2: It is not JSON"):
        decide([TUTORIAL, "?"], "oss:GetObject", OBJECT)


def test_length():
    text = json.dumps(TUTORIAL)
    longest = text + " " * (MAX_CHARACTERS - len(text))
    assert parse(longest) == parse(text)
    with pytest.raises(PolicyError) as caught:
        parse(longest + " ")
    assert caught.value.too_long
    with pytest.raises(PolicyError) as caught:
        parse("?")
    assert not caught.value.too_long
    assert parse(policy(allow(Sid="é" * 6000))) == parse(policy(allow())), "not bytes, not escapes"
    assert parse(json.dumps(TRUST) + " " * MAX_CHARACTERS, "trust") == parse(TRUST, "trust")


def test_a_long_value_is_shortened_in_the_sentence():
    with pytest.raises(PolicyError) as caught:
        parse(policy(allow(Resource="x" * 5000)))
    assert len(str(caught.value)) < 300


def test_an_error_survives_a_process_boundary():
    with pytest.raises(PolicyError) as caught:
        parse(policy(allow(Effect="x")))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_kinds_are_not_mixed_up():
    with pytest.raises(PolicyError, match="kind 'trust'; kind 'identity' is needed"):
        decide(parse(TRUST, "trust"), "oss:GetObject", OBJECT)
    with pytest.raises(PolicyError, match="kind 'identity'; kind 'trust' is needed"):
        trusts(parse(TUTORIAL), "Service", "ecs.aliyuncs.com")


@pytest.mark.parametrize(
    "action, resource, context, sentence",
    [
        ("GetObject", OBJECT, {}, "The action 'GetObject' must be like 'oss:GetObject'."),
        ("*", OBJECT, {}, "The action '*' must be like 'oss:GetObject'."),
        (
            "oss:GetObject",
            "photos",
            {},
            "The resource 'photos' must be an ARN, such as 'acs:oss:*:1:photos'.",
        ),
        (
            "oss:GetObject",
            OBJECT,
            {"acs:SecureTransport": True},
            "The value of acs:SecureTransport must be a string, such as 'true', not True.",
        ),
    ],
)
def test_impossible_request(action, resource, context, sentence):
    with pytest.raises(ValueError) as caught:
        decide(TUTORIAL, action, resource, context)
    assert str(caught.value) == sentence


# Rules that hold for any policy

ACTIONS = ["oss:GetObject", "oss:PutObject", "oss:ListObjects", "ecs:StopInstance"]
RESOURCES = [BUCKET, OBJECT, "acs:oss:*:1001:other/a", "acs:ecs:cn-hangzhou:1001:instance/i-1"]
CONTEXTS = [
    {},
    {"oss:Prefix": "a/b"},
    {"oss:Prefix": "", "acs:SourceIp": "10.0.0.1"},
    {"acs:SourceIp": "192.168.0.1"},
]


def some(values: list[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3)


conditions = st.fixed_dictionaries(
    {},
    optional={
        "StringLike": st.fixed_dictionaries({"oss:Prefix": some(["", "a/*", "*"])}),
        "StringNotEquals": st.fixed_dictionaries({"oss:Prefix": some(["", "a/b"])}),
        "NotIpAddress": st.fixed_dictionaries(
            {"acs:SourceIp": some(["10.0.0.0/8", "192.168.0.1"])}
        ),
    },
)
statements = st.builds(
    lambda effect, element, actions, resources, condition: {
        "Effect": effect, element: actions, "Resource": resources, "Condition": condition
    },
    st.sampled_from(["Allow", "Deny"]),
    st.sampled_from(["Action", "NotAction"]),
    some([*ACTIONS, "oss:*", "oss:Get*", "*"]),
    some([*RESOURCES, "*", "acs:oss:*:*:ramroletest/*", "acs:oss:*:*:*"]),
    conditions,
)  # fmt: skip
denials = statements.map(lambda statement: statement | {"Effect": "Deny"})
documents = st.lists(statements, min_size=1, max_size=4).map(lambda several: policy(*several))
requests = st.tuples(
    st.sampled_from(ACTIONS), st.sampled_from(RESOURCES), st.sampled_from(CONTEXTS)
)


@moderate
@given(st.lists(documents, max_size=3), denials, requests)
def test_adding_a_deny_only_takes_rights_away(several, denial, request):
    before, after = decide(several, *request), decide([*several, policy(denial)], *request)
    assert both_must_allow(before, after) is before or after.effect == "ExplicitDeny"
    if not before.allowed:
        assert not after.allowed


@moderate
@given(st.lists(documents, max_size=3), statements, requests)
def test_adding_an_allow_never_lifts_a_deny(several, statement, request):
    more = [*several, policy(statement | {"Effect": "Allow"})]
    assert (decide(several, *request).effect == "ExplicitDeny") == (
        decide(more, *request).effect == "ExplicitDeny"
    )


@moderate
@given(st.lists(documents, min_size=1, max_size=3), requests, st.randoms(use_true_random=False))
def test_order_never_matters(several, request, random):
    shuffled = [policy(*random.sample(one["Statement"], len(one["Statement"]))) for one in several]
    random.shuffle(shuffled)
    together = policy(*(statement for one in several for statement in one["Statement"]))
    effect = decide(several, *request).effect
    assert decide(shuffled, *request).effect == effect
    assert decide(together, *request).effect == effect


@moderate
@given(documents, requests)
def test_the_deciding_statement_decides_alone(document, request):
    decision = decide(document, *request)
    if decision.statement is not None:
        alone = document["Statement"][decision.statement.number - 1]
        assert decide(policy(alone), *request).effect == decision.effect


@moderate
@given(documents, st.sampled_from([None, 1, 4]))
def test_text_and_mapping_read_alike(document, indent):
    read = parse(document)
    assert parse(json.dumps(document, indent=indent, ensure_ascii=indent is None)) == read
    assert hash(read) == hash(parse(document)), "a policy can be kept as a key"


# Keys and values of policies in wrong places reach deeper than random text does.
ELEMENTS = [
    *("Version", "1", "Statement", "Effect", "Allow", "Deny", "Action", "NotAction", "Sid"),
    *("Resource", "NotResource", "Principal", "Service", "RAM", "Condition", "Null"),
    *("*", "oss:*", "acs:oss:*:*:*", "acs:ram::1:root", "${", "a/*", "10.0.0.0/8", "true", "7"),
]
words = st.sampled_from([*ELEMENTS, *OPERATORS])
texts = words | st.text(max_size=8)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=4),
    max_leaves=12,
)
principals = st.dictionaries(st.sampled_from(["Service", "RAM", "Federated"]), trees, min_size=1)
blocks = st.dictionaries(
    st.sampled_from([*OPERATORS]), st.dictionaries(texts, texts | trees, max_size=2), max_size=2
)
bodies = st.fixed_dictionaries(
    {"Effect": st.just("Allow") | trees, "Action": st.just("oss:*") | trees},
    optional={
        "Resource": st.just("*") | st.text(max_size=5).map("acs:oss:*:*:".__add__) | trees,
        "Principal": principals | trees,
        "Condition": blocks | trees,
        "Sid": trees,
    },
)
almost = st.lists(bodies | trees, max_size=3).map(lambda several: policy(*several))


@many
@given(
    almost | trees | trees.map(json.dumps) | st.text(max_size=60),
    st.sampled_from(["identity", "trust"]),
    requests,
)
@example([[[]]], "identity", (ACTIONS[0], OBJECT, {}))
@example(b"{}", "identity", (ACTIONS[0], OBJECT, {}))
@example(10**5000, "identity", (ACTIONS[0], OBJECT, {}))
@example({"Version": 10**5000}, "identity", (ACTIONS[0], OBJECT, {}))
@example({b"Version": "1"}, "identity", (ACTIONS[0], OBJECT, {}))
@example({"Version": timedelta(1)}, "identity", (ACTIONS[0], OBJECT, {}))
@example(policy(allow(Sid="\ud800", Resource="\ud800")), "identity", (ACTIONS[0], OBJECT, {}))
@example(policy(allow(Resource="acs:oss:*:*:a\nb")), "identity", (ACTIONS[0], OBJECT, {}))
@example(policy(allow(Condition={"Bool": {"a\nb": "c"}})), "identity", (ACTIONS[0], OBJECT, {}))
@example(policy(allow(Condition={"Bool": {"a\nb": "true"}})), "identity", (ACTIONS[0], OBJECT, {}))
def test_any_document_gives_a_decision_or_one_sentence(document, kind, request):
    try:
        read = parse(document, kind)
    except PolicyError as error:
        assert len(str(error).splitlines()) == 1
        assert str(error).startswith(("The policy document: ", "Statement "))
    else:
        assert isinstance(read, Policy)
        if kind == "identity":
            decision = decide(read, *request)
        else:
            decision = trusts(read, "Service", "ecs.aliyuncs.com")
        assert decision.effect in ("Allow", "ExplicitDeny", "ImplicitDeny")
        assert decision.reason.endswith(".") and len(decision.reason.splitlines()) == 1


@moderate
@given(documents, st.data())
def test_a_policy_cut_or_changed_anywhere_gives_a_decision_or_one_sentence(document, data):
    text = json.dumps(document)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    changed_text = text[:start] + data.draw(st.text(max_size=4)) + text[end:]
    try:
        assert decide(changed_text, "oss:GetObject", OBJECT).reason
    except PolicyError as error:
        assert len(str(error).splitlines()) == 1


def test_a_document_that_contains_itself():
    document: dict[str, Any] = {}
    document["Statement"] = document
    with pytest.raises(PolicyError, match="JSON cannot express"):
        parse(document)


@moderate
@given(st.sampled_from([*OPERATORS]), st.text(max_size=12) | words, st.text(max_size=12) | words)
@example("DateLessThan", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
@example("DateLessThan", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59")
@example("NumericLessThan", "9" * 5000, "-" + "9" * 5000)
@example("IpAddress", "fe80::/10", "fe80::1%eth0")
def test_any_value_of_a_condition_gives_an_answer(operator, wanted, actual):
    document = policy(allow(Condition={operator: {"k": wanted}}))
    try:
        read = parse(document)
    except PolicyError:
        return
    effect = decide(read, "oss:GetObject", OBJECT, {"k": actual}).effect
    assert effect in ("Allow", "ImplicitDeny")


# Wildcards


def plainly(text: str, pattern: str) -> bool:
    """What a pattern covers, from the definition; it may take very long."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(plainly(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and plainly(text[1:], pattern[1:])


@many
@given(st.text("ab[]!-\n", max_size=6), st.text("ab*?[]!-\\\n", max_size=6))
def test_wildcards_as_defined(text, pattern):
    assert matches(text, pattern) == plainly(text, pattern)


@moderate
@given(st.text("aA*?[.", max_size=10))
def test_a_text_covers_itself(text):
    assert matches(text, text)


@pytest.mark.parametrize(
    "text, pattern, covers",
    [
        ("a" * 6000, "*a" * 1000 + "*b", False),
        ("a" * 6000, "*a" * 1000, True),
        ("a" * 3000 + "b", "*" * 3000 + "c", False),
        ("a" * 3000, "*?" * 1000 + "b*", False),
        ("ab" * 3000, "*ab" * 1500 + "*ba", False),
    ],
    ids=range(5),
)
def test_no_pattern_takes_forever(text, pattern, covers):
    """With backtracking, each of these would outlast the machine: it ends or it does not."""
    assert matches(text, pattern) == covers
    document = policy(allow(Resource=f"acs:oss:*:*:b/{pattern}"))
    assert decide(document, "oss:GetObject", f"acs:oss:*:1001:b/{text}").allowed == covers
