"""The RAM policy language: read a document, decide a request, say why.

``parse`` turns a document into statements and refuses, in one sentence, what the language lacks.
``decide`` asks every statement of every policy: one Deny that fits refuses, else one Allow that
fits permits, else the request is denied implicitly. ``trusts`` asks a trust policy the same way.

A statement fits when its Action, its target (Resource; in a trust policy Principal) and its
Condition fit. ``_misses`` says which do not, for the decision and for the explanation alike, so
the two cannot disagree.

The rules are those of https://www.alibabacloud.com/help/en/ram/policy-structure-and-syntax,
https://www.alibabacloud.com/help/en/ram/policy-elements and
https://www.alibabacloud.com/help/en/ram/conditional-operator. Three things no page settles: here
Resource values and condition keys are case-sensitive, and a key that the request lacks, or whose
value is of another class, meets the negated operators and no others. A document that the pages
leave in doubt is refused rather than guessed at.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_network
from operator import eq, ge, gt, le, lt
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from .parameters import OneSentence

# https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-createpolicy has
# the length of an identity policy; that of a trust policy is not published.
MAX_CHARACTERS = 6144

Kind = Literal["identity", "trust"]

_NO_CONTEXT: Mapping[str, str] = MappingProxyType({})
_shorten = reprlib.Repr()
_shorten.maxstring = 120
_show = _shorten.repr


class PolicyError(OneSentence, ValueError):
    """A document that is no policy. ``str`` gives the place and one sentence: ``Statement 2: …``.

    ``fault`` is the sentence alone; where RAM's own wording is known, it is that. RAM answers a
    document that is ``too_long`` with an error of its own.
    """

    where = "The policy document"
    too_long = False

    @property
    def fault(self) -> str:
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.where}: {self.fault}"


class UnsupportedPolicy(PolicyError):
    """RAM may accept this document, but what it means there is not modelled here."""


@dataclass(frozen=True)
class Policy:
    """A document that has been read; ``name`` is what a decision calls it."""

    statements: tuple[Statement, ...]
    kind: Kind = "identity"
    name: str = ""


class Statement(NamedTuple):
    """One statement; ``number`` counts from 1 in its document.

    ``targets`` are ARN patterns or, in a trust policy, principals: ``Service ecs.aliyuncs.com``.
    """

    number: int
    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...]
    not_action: bool
    targets: tuple[str, ...]
    conditions: tuple[Condition, ...]


class Condition(NamedTuple):
    """One operator on one key; it holds if it holds for any of the values."""

    operator: str
    key: str
    values: tuple[str, ...]

    def met(self, context: Mapping[str, str]) -> bool:
        return OPERATORS[self.operator].met(context.get(self.key), self.values)


class Decision(NamedTuple):
    """What the policies say, in the words of RAM's own errors (``NoPermissionType``).

    ``policy`` and ``statement`` are what decided; an implicit deny has a ``near_miss`` instead.
    """

    effect: Literal["Allow", "ExplicitDeny", "ImplicitDeny"]
    policy: str = ""
    statement: Statement | None = None
    near_miss: str = ""

    @classmethod
    def of_the_account(cls) -> Decision:
        """What the account's own key gets: no policy applies to it."""
        return cls("Allow")

    @property
    def allowed(self) -> bool:
        return self.effect == "Allow"

    @property
    def reason(self) -> str:
        """One sentence: the statement that decided, or what came nearest to allowing it."""
        if self.statement is None:
            return self.near_miss or "The account itself needs no policy."
        verb = "allows" if self.allowed else "denies"
        return f"Statement {self.statement.number} of {self.policy} {verb} it."


Text = str | Mapping[str, Any]
Document = Text | tuple[str, Text] | Policy


def matches(text: str, pattern: str) -> bool:
    """Does ``pattern`` cover all of ``text``? ``*`` is any run of characters, ``?`` any one.

    Both cross ``/`` and ``:``. https://www.alibabacloud.com/help/en/ram/policy-structure-and-syntax
    """
    # A bracket means something to fnmatch alone. Between two stars fnmatch keeps the first fit,
    # so no pattern makes it try exponentially many.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _number(text: str) -> Decimal:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise ValueError(text)
    return Decimal(text)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def _network(text: str) -> Any:
    return ip_network(text, strict=False)


def _within(address: Any, network: Any) -> bool:
    return bool(address.version == network.version and address.subnet_of(network))


class Operator(NamedTuple):
    """A condition operator: ``read`` makes a text comparable, or raises ValueError or KeyError."""

    read: Callable[[str], Any]
    compare: Callable[[Any, Any], bool]
    accepts: str = "a string"
    negated: bool = False

    def reads(self, text: str) -> bool:
        try:
            self.read(text)
        except (ValueError, KeyError):
            return False
        return True

    def met(self, actual: str | None, wanted: Iterable[str]) -> bool:
        if actual is None or not self.reads(actual):
            return self.negated
        value = self.read(actual)
        return any(self.compare(value, self.read(text)) for text in wanted) != self.negated


_ORDER = {
    "Equals": eq,
    "LessThan": lt,
    "LessThanEquals": le,
    "GreaterThan": gt,
    "GreaterThanEquals": ge,
}
_A_TIME = "a time such as '2012-11-11T23:59:59Z'"
# acs:SecureTransport is true or false on RAM's pages, HTTPS or HTTP on those of OSS.
_BOOLEANS = {"true": True, "false": False, "HTTPS": True, "HTTP": False}
_NEGATIONS = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}
OPERATORS = {
    "StringEquals": Operator(str, eq),
    "StringEqualsIgnoreCase": Operator(str.casefold, eq),
    "StringLike": Operator(str, matches),
    **{f"Numeric{name}": Operator(_number, order, "a number") for name, order in _ORDER.items()},
    **{f"Date{name}": Operator(_time, order, _A_TIME) for name, order in _ORDER.items()},
    "Bool": Operator(_BOOLEANS.__getitem__, eq, "'true' or 'false'"),
    "IpAddress": Operator(_network, _within, "an IP address or a CIDR block"),
}
OPERATORS |= {no: OPERATORS[yes]._replace(negated=True) for no, yes in _NEGATIONS.items()}


_ELEMENTS = {
    "identity": ("Effect", "Action", "NotAction", "Resource", "Condition", "Sid"),
    "trust": ("Effect", "Action", "NotAction", "Principal", "Condition", "Sid"),
}
_PRINCIPALS = ("Service", "RAM", "Federated")
_ACTION = re.compile(r"\*|[^:\s]+:[^:\s]+")
_ARN = re.compile(r"\*|acs:[^:]+:[^:]*:[^:]*:.+", re.DOTALL)
_PRINCIPAL = re.compile(r"[^\s*?]+")
_AN_ACTION = "'*' or <service>:<operation>, such as 'oss:GetObject'"
_AN_ARN = "'*' or an ARN, acs:<service>:<region>:<account ID>:<name>"
_A_PRINCIPAL = "a service or an ARN without wildcards"


def parse(document: Text, kind: Kind = "identity", name: str = "") -> Policy:
    """Read a policy document: JSON text, or the same as a mapping.

    ``kind`` is ``"identity"`` for a permission policy, ``"trust"`` for an
    AssumeRolePolicyDocument; ``name`` is what decisions and errors call it. Raises PolicyError.
    Grammar: https://www.alibabacloud.com/help/en/ram/policy-structure-and-syntax
    """
    place = name or PolicyError.where
    statements = []
    try:
        for number, body in enumerate(_bodies(_text(document), kind), 1):
            place = f"Statement {number} of {name}" if name else f"Statement {number}"
            statements.append(_statement(number, body, kind))
    except PolicyError as error:
        error.where = place
        raise
    return Policy(tuple(statements), kind, name)


_parse_text = lru_cache(parse)  # the policies of a caller are read for each of its requests


def _text(document: object) -> str:
    """The document as JSON text, so that a mapping meets every check that text meets."""
    if isinstance(document, str):
        return document
    if not isinstance(document, Mapping):
        raise PolicyError(f"It must be JSON text or a mapping, not {type(document).__name__}.")
    try:
        return json.dumps(dict(document), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise PolicyError("It holds something that JSON cannot express.") from None


def _bodies(text: str, kind: Kind) -> list[object]:
    if kind == "identity" and len(text) > MAX_CHARACTERS:
        error = PolicyError(f"It has {len(text)} characters; at most {MAX_CHARACTERS} are allowed.")
        error.too_long = True
        raise error
    policy = _object(_json(text), "A policy", ("Version", "Statement"))
    version, bodies = policy.get("Version"), policy.get("Statement")
    if version != "1":
        raise _wrong("Version", "'1'", version)
    if not isinstance(bodies, list) or not bodies:
        raise _wrong("Statement", "a list of statements, at least one", bodies)
    return bodies


def _json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except PolicyError:
        raise
    except json.JSONDecodeError as error:
        fault = f"It is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    except (ValueError, RecursionError):
        fault = "It is nested too deeply, or holds a number that is too long."
    raise PolicyError(fault)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    for key, times in Counter(key for key, _ in pairs).most_common(1):
        if times > 1:
            raise PolicyError(f"{_show(key)} is there {times} times in one object; keep one.")
    return dict(pairs)


def _statement(number: int, body: object, kind: Kind) -> Statement:
    elements = _object(body, "A statement", _ELEMENTS[kind])
    effect, sid = elements.get("Effect"), elements.get("Sid", "")
    if effect not in ("Allow", "Deny"):
        raise _wrong("Effect", "'Allow' or 'Deny'", effect)
    if not isinstance(sid, str):
        raise _wrong("Sid", "a string", sid)
    return Statement(
        number=number,
        effect=effect,
        actions=_actions(elements),
        not_action="NotAction" in elements,
        targets=_targets(elements, kind),
        conditions=tuple(_conditions(elements.get("Condition", {}))),
    )


def _actions(elements: Mapping[str, object]) -> tuple[str, ...]:
    named = [element for element in ("Action", "NotAction") if element in elements]
    if not named:
        raise PolicyError("Add an Action or NotAction element to the policy statement.")
    if len(named) > 1:
        raise PolicyError("Action and NotAction exclude each other; keep one.")
    return _strings(elements[named[0]], named[0], _AN_ACTION, _ACTION.fullmatch)


def _targets(elements: Mapping[str, object], kind: Kind) -> tuple[str, ...]:
    if kind == "identity":
        return _strings(elements.get("Resource"), "Resource", _AN_ARN, _ARN.fullmatch)
    named = _object(elements.get("Principal"), "Principal", _PRINCIPALS)
    if not named:
        raise _wrong("Principal", "an object that names whom to trust", named)
    read = {
        name: _strings(who, name, _A_PRINCIPAL, _PRINCIPAL.fullmatch) for name, who in named.items()
    }
    return tuple(f"{name} {who}" for name, several in read.items() for who in several)


def _conditions(block: object) -> Iterator[Condition]:
    for name, keys in _object(block, "Condition").items():
        operator = _operator(name)
        for key, wanted in _object(keys, name).items():
            values = _strings(wanted, f"{name} {_show(key)}", operator.accepts, operator.reads)
            yield Condition(name, key, values)


def _operator(name: str) -> Operator:
    if name == "Null" or name.endswith("IfExists"):
        raise PolicyError("The condition operator 'IfExists/Null' is not supported")
    if name.startswith(("ForAllValues:", "ForAnyValue:")):
        raise UnsupportedPolicy(f"{_show(name)} is not supported; no page of RAM has it.")
    if name not in OPERATORS:
        near = "".join(f"; did you mean {one}?" for one in get_close_matches(name, OPERATORS, 1))
        raise PolicyError(f"{_show(name)} is no condition operator{near or '.'}")
    return OPERATORS[name]


def _object(value: object, what: str, elements: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON object with none but the ``elements``; if none are given, with any."""
    if not isinstance(value, dict):
        raise _wrong(what, "an object", value)
    for key in value if elements else ():
        if key in ("NotResource", "NotPrincipal"):
            raise UnsupportedPolicy(f"{key} is not supported; no current page of RAM has it.")
        if key not in elements:
            raise PolicyError(f"{what} has no element {_show(key)}, only {', '.join(elements)}.")
    return value


def _strings(
    value: object, what: str, accepts: str, accepted: Callable[[str], object]
) -> tuple[str, ...]:
    """One string or a list of them, each of them ``accepted``."""
    values = value if isinstance(value, list) and value else [value]
    for one in values:
        if isinstance(one, str) and "${" in one:
            raise UnsupportedPolicy(
                f"RAM has no variables and takes {_show(one)} as literal characters; give a value."
            )
        if not isinstance(one, str) or not accepted(one):
            raise _wrong(what, f"{accepts}, or a list of such", one)
    return tuple(values)


def _wrong(what: str, accepts: str, value: object) -> PolicyError:
    found = "missing" if value is None else _show(value)
    return PolicyError(f"{what} must be {accepts}; it is {found}.")


class _Access(NamedTuple):
    """What is asked for: an action on a resource or, of a trust policy, by a principal."""

    action: str
    target: str
    context: Mapping[str, str]


class _Judged(NamedTuple):
    """A statement, the policy it is in, and what of it does not fit."""

    policy: str
    statement: Statement
    misses: tuple[bool, ...]

    def __str__(self) -> str:
        return f"Statement {self.statement.number} of {self.policy}"


def decide(
    documents: Document | Iterable[Document],
    action: str,
    resource: str,
    context: Mapping[str, str] = _NO_CONTEXT,
) -> Decision:
    """Decide one request by all the identity policies that apply to it, or by a single one.

    A document is JSON text, a mapping, a pair of a name and one of these, or a parsed Policy;
    ``action`` is ``<service>:<operation>``, ``resource`` an ARN with the real account ID;
    ``context`` has the request's condition keys, every value a string. Raises PolicyError for a
    document that is no policy, ValueError for a request that cannot be.
    Rules: "Policy evaluation process" in https://github.com/AlibabaCloudDocs/ram
    """
    if isinstance(documents, str | Mapping | Policy):
        policies = [_read(documents, "identity", "the policy")]
    else:
        policies = [_read(one, "identity", f"policy {n}") for n, one in enumerate(documents, 1)]
    if not _ARN.fullmatch(resource):
        raise ValueError(f"The resource {resource!r} must be an ARN, such as 'acs:oss:*:1:photos'.")
    return _decide(policies, _Access(action, resource, context))


def trusts(
    document: Document,
    principal_kind: Literal["Service", "RAM", "Federated"],
    principal: str,
    context: Mapping[str, str] = _NO_CONTEXT,
) -> Decision:
    """Decide whether a role's trust policy lets ``principal`` assume the role.

    ``principal`` is a service (``ecs.aliyuncs.com``) or an ARN (``acs:ram::<ID>:user/<name>``).
    Raises as ``decide`` does. Rules: https://www.alibabacloud.com/help/en/ram/policy-elements
    """
    policy = _read(document, "trust", "the trust policy")
    return _decide([policy], _Access("sts:AssumeRole", f"{principal_kind} {principal}", context))


def both_must_allow(first: Decision, second: Decision) -> Decision:
    """The stricter decision: how a caller's policies and a role's trust policy combine.

    An access point's policy combines so too, with what RAM and bucket policies gave:
    https://www.alibabacloud.com/help/en/oss/user-guide/relationship-between-ap-policy-bucket-policy-and-ram-policy
    """
    strictest_first = ("ExplicitDeny", "ImplicitDeny", "Allow")
    return min(first, second, key=lambda decision: strictest_first.index(decision.effect))


def _read(document: Document, kind: Kind, name: str) -> Policy:
    name, document = document if isinstance(document, tuple) else (name, document)
    if isinstance(document, str):
        policy = _parse_text(document, kind, name)
    else:
        policy = document if isinstance(document, Policy) else parse(document, kind, name)
    if policy.kind != kind:
        raise PolicyError(f"It was read as kind {policy.kind!r}; kind {kind!r} is needed here.")
    return policy if policy.name else replace(policy, name=name)


def _decide(policies: Iterable[Policy], access: _Access) -> Decision:
    _check(access)
    judged = [_Judged(p.name, s, _misses(s, access)) for p in policies for s in p.statements]
    fitting = [one for one in judged if not any(one.misses)]
    denying = [one for one in fitting if one.statement.effect == "Deny"]
    if denying:
        return Decision("ExplicitDeny", denying[0].policy, denying[0].statement)
    if fitting:
        return Decision("Allow", fitting[0].policy, fitting[0].statement)
    return Decision("ImplicitDeny", near_miss=_near_miss(judged, access))


def _check(access: _Access) -> None:
    if access.action == "*" or not _ACTION.fullmatch(access.action):
        raise ValueError(f"The action {access.action!r} must be like 'oss:GetObject'.")
    for key, value in access.context.items():
        if not isinstance(value, str):
            raise ValueError(f"The value of {key} must be a string, such as 'true', not {value!r}.")


def _misses(statement: Statement, access: _Access) -> tuple[bool, ...]:
    """What does not fit: the service, the action, the target, the condition.

    The weightiest comes first, so the smallest of such tuples is the nearest miss.
    """
    action = access.action.lower()
    patterns = [pattern.lower() for pattern in statement.actions]
    listed = any(matches(action, pattern) for pattern in patterns)
    services = [pattern.partition(":")[0] for pattern in patterns]
    served = any(matches(action.partition(":")[0], service) for service in services)
    # An account's root stands for every user and role of the account.
    targets = [
        re.sub(r"(?<=^RAM acs:ram::)([^:]*:)root$", r"\1*", one) for one in statement.targets
    ]
    return (
        not served and not statement.not_action,
        listed == statement.not_action,
        not any(matches(access.target, target) for target in targets),
        not all(condition.met(access.context) for condition in statement.conditions),
    )


def _near_miss(judged: Sequence[_Judged], access: _Access) -> str:
    allows = [one for one in judged if one.statement.effect == "Allow"]
    if not allows:
        found = "The policies only deny" if judged else "No policy applies"
        return f"{found}, and what nothing allows is denied."
    misses = min(one.misses for one in allows)
    explain = _EXPLANATIONS[misses.index(True)]
    sentence = explain([one for one in allows if one.misses == misses], access)
    return " ".join(sentence.splitlines())  # an object's name can have line breaks


def _other_service(nearest: Sequence[_Judged], access: _Access) -> str:
    return f"No Allow statement mentions the service {access.action.partition(':')[0]}."


def _other_action(nearest: Sequence[_Judged], access: _Access) -> str:
    listing = [one for one in nearest if not one.statement.not_action]
    listed = {action: one for one in listing for action in one.statement.actions}
    if not listed:
        but = " and ".join(nearest[0].statement.actions)
        return f"{nearest[0]} allows all actions but {but} (NotAction)."
    [action] = get_close_matches(access.action, listed, n=1, cutoff=0)
    alone = "fits but for the action" if sum(nearest[0].misses) == 1 else "comes nearest"
    return f"{listed[action]} {alone}: it allows {action}, not {access.action}."


def _other_target(nearest: Sequence[_Judged], access: _Access) -> str:
    for one in nearest:
        for slip in filter(None, (_bucket_slip(each, access) for each in one.statement.targets)):
            return f"{one} {slip}"
    to = "on" if access.target.startswith(("acs:", "*")) else "to"
    listed = " or ".join(nearest[0].statement.targets)
    return f"{nearest[0]} allows {access.action} {to} {listed}, not {to} {access.target}."


def _bucket_slip(target: str, access: _Access) -> str:
    """The commonest slip with OSS: a bucket for its objects, or the objects for their bucket."""
    bucket, slash, _ = access.target.partition("/")
    named, below, _ = target.partition("/")
    if not target.startswith("acs:oss:") or slash == below or not matches(bucket, named):
        return ""
    verb = "listing" if ":List" in access.action else "it"
    itself = f"the bucket itself ({named})"
    objects = f"the bucket's objects ({target if below else named + '/*'})"
    has, needs = (objects, itself) if below else (itself, objects)
    return f"allows {access.action} on {has}, but {verb} needs {needs}."


def _unmet_condition(nearest: Sequence[_Judged], access: _Access) -> str:
    conditions = nearest[0].statement.conditions
    operator, key, values = next(one for one in conditions if not one.met(access.context))
    needs = f"{operator} {key} {' or '.join(map(repr, values))}"
    has = f"{key} {access.context[key]!r}" if key in access.context else f"no {key}"
    return f"{nearest[0]} allows {access.action} only if {needs}, but the request has {has}."


_EXPLANATIONS = (_other_service, _other_action, _other_target, _unmet_condition)
