"""The exercises: prompt, starter, hints, solution, misconceptions, and a verdict on an answer.

This is their only source. ``starter`` is a cell with blanks, ``...`` or ``____``; ``answers`` fill
them in order, and that is the solution. A verdict uses the answer as the cloud would: it asks the
policy evaluator, calls the learner's function, runs the learner's provider for a day against a
clock of its own. It returns the name of the misconception that it met, or nothing.

Names in the exercises differ from the lessons', so that copying is not enough and that no lesson's
variable is overwritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .policy import decide, trusts

BLANKS = "... or ____"
EXERCISES: list[Exercise] = []

OWNER = "1234567890123456"
ALLOW, REFUSE, DENY = ("Allow",), ("ImplicitDeny", "ExplicitDeny"), ("ExplicitDeny",)


class Exercise(NamedTuple):
    """``level``: complete a line, change a policy, diagnose a failure. ``lesson``: what to keep."""

    notebook: str
    level: str
    minutes: int
    title: str
    prompt: str
    starter: str
    answers: tuple[str, ...]
    hints: tuple[str, ...]
    misconceptions: Mapping[str, str]
    lesson: str
    verdict: Callable[..., str]

    @property
    def name(self) -> str:
        return self.verdict.__name__

    @property
    def solution(self) -> str:
        """The starter with its blanks filled."""
        return filled(self.starter, self.answers)


def filled(starter: str, answers: Iterable[str]) -> str:
    """``starter`` with each blank replaced by the next of ``answers``."""
    remaining = iter(answers)
    return re.sub(r"[.]{3}|____", lambda _: next(remaining), starter)


def _exercise(**facts: Any) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Enter a verdict and the facts of its exercise into ``EXERCISES``."""

    def enter(verdict: Callable[..., str]) -> Callable[..., str]:
        EXERCISES.append(Exercise(verdict=verdict, **facts))
        return verdict

    return enter


class Expected(NamedTuple):
    """A call, what a policy must say to it, and the misconception of one that does not."""

    misconception: str
    effects: tuple[str, ...]
    action: str
    resource: str
    context: Mapping[str, str] = {}


def _first_unmet(documents: Any, expected: Iterable[Expected]) -> str:
    for name, effects, action, resource, context in expected:
        if decide(documents, action, resource, context).effect not in effects:
            return name
    return ""


# 01 Create a RAM role and a policy


@_exercise(
    notebook="01",
    level="complete a line",
    minutes=3,
    title="Who may assume the role?",
    prompt="The trust policy lacks its principal. Complete it, so that ECS may assume the role and "
    "nobody else.",
    starter="""\
my_trust_policy = {
    "Version": "1",
    "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": ...},
    ],
}
check.trust_policy(my_trust_policy)""",
    answers=('{"Service": ["ecs.aliyuncs.com"]}',),
    hints=(
        "A principal has a kind and a name. The kinds are Service, RAM and Federated.",
        "The program does not assume the role itself: the service that runs its instance does.",
        'Services are named like hosts. The principal is {"Service": [...]} with one name in it.',
    ),
    misconceptions={
        "a user": "A principal of the kind RAM is a user or a role of an account. An instance is "
        "neither: ECS, a service, assumes the role for it.",
        "another service": "This service is not the one that asks for the credentials. OSS is what "
        "they open; the one who asks for them is ECS.",
        "others too": "ECS may assume the role, but so may others. A trust policy names nobody "
        "who does not need the role.",
    },
    lesson="The trust policy says who may assume the role. What the role may do is said elsewhere, "
    "in the policies attached to it.",
)
def trust_policy(document: Any) -> str:
    ecs_may = trusts(document, "Service", "ecs.aliyuncs.com").effect == "Allow"
    principals = _principals(document)
    if not ecs_may:
        return "a user" if "RAM" in dict(principals) else "another service"
    return "" if principals == {("Service", "ecs.aliyuncs.com")} else "others too"


def _principals(document: Any) -> set[tuple[str, str]]:
    """Kind and name of whom a valid trust policy mentions."""
    statements = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    named = [(kind, who) for one in statements for kind, who in one["Principal"].items()]
    return {(kind, one) for kind, who in named for one in ([who] if isinstance(who, str) else who)}


BUCKET = f"acs:oss:*:{OWNER}:examplebucket"


@_exercise(
    notebook="01",
    level="change a policy",
    minutes=5,
    title="Read one bucket only",
    prompt="The documented policy reads every bucket of the account. Narrow its Resource to the "
    "bucket `examplebucket`: listing it and reading its objects must still work.",
    starter="""\
my_policy = {
    "Version": "1",
    "Statement": [
        {"Effect": "Allow", "Action": ["oss:Get*", "oss:List*"], "Resource": ...},
    ],
}
check.one_bucket(my_policy)""",
    answers=('["acs:oss:*:*:examplebucket", "acs:oss:*:*:examplebucket/*"]',),
    hints=(
        "The form is acs:oss:*:*:<bucket>, and acs:oss:*:*:<bucket>/<object> for an object.",
        "ListObjects asks for the bucket, GetObject for an object. Resource may be a list.",
        'Two entries: the bucket itself, and the bucket followed by "/*".',
    ),
    misconceptions={
        "no listing": "Listing is refused: ListObjects acts on the bucket itself, and a resource "
        "that ends in /* covers only the objects in it.",
        "no objects": "Reading an object is refused: the name of the bucket alone does not cover "
        "the objects in it.",
        "similar names": "examplebucket-archive can be read as well: a * right behind the bucket's "
        "name also covers every bucket whose name goes on.",
        "all buckets": "Other buckets of the account can still be read.",
        "writing": "This policy also allows what it did not allow before: PutObject.",
    },
    lesson="The bucket and the objects in it are two resources; a policy that reads needs both.",
)
def one_bucket(document: Any) -> str:
    return _first_unmet(
        document,
        [
            Expected("no listing", ALLOW, "oss:ListObjects", BUCKET),
            Expected("no objects", ALLOW, "oss:GetObject", f"{BUCKET}/photos/1.jpg"),
            Expected("all buckets", REFUSE, "oss:GetObject", f"acs:oss:*:{OWNER}:payroll/1.txt"),
            Expected("similar names", REFUSE, "oss:GetObject", f"{BUCKET}-archive/1.txt"),
            Expected("writing", REFUSE, "oss:PutObject", f"{BUCKET}/photos/1.jpg"),
        ],
    )


@_exercise(
    notebook="01",
    level="diagnose a failure",
    minutes=6,
    title="The folder that opened again",
    prompt="Nobody who has this role may read below `private/` in `examplebucket`. It was left out "
    "of the first policy, and a second policy, attached a week later, opened it again. Add the "
    "statement that keeps it closed whatever is attached, and closes nothing else.",
    starter="""\
my_policy = {
    "Version": "1",
    "Statement": [
        {"Effect": "Allow", "Action": ["oss:Get*", "oss:List*"], "Resource": "*"},
        {"Effect": ..., "Action": ..., "Resource": ...},
    ],
}
check.closed_folder(my_policy)""",
    answers=('"Deny"', '"oss:Get*"', '"acs:oss:*:*:examplebucket/private/*"'),
    hints=(
        "What no statement allows is denied implicitly, and the next Allow opens it. What survives "
        "every Allow?",
        "A statement with the effect Deny wins over all Allows, in whichever policy they are.",
        "Deny oss:Get*, on the objects whose names begin with private/ in this bucket.",
    ),
    misconceptions={
        "still open": "With another policy that allows oss:*, private/report.txt can be read. "
        "Only a Deny that covers the objects below private/ closes it for good: their names go on "
        "after private/, so the resource must too.",
        "another action": "The resource is right, the action is not: private/report.txt can still "
        "be read, since what reads an object is oss:GetObject.",
        "other objects": "Objects outside private/ cannot be read any more. No Allow wins against "
        "a Deny, so make the Deny no wider than it has to be.",
        "no listing": "The bucket cannot be listed any more. Deny reading below private/ only.",
    },
    lesson="Deny wins over Allow, in any order and from any policy. Absence of an Allow is not a "
    "lock.",
)
def closed_folder(document: Any) -> str:
    everything = {"Effect": "Allow", "Action": "oss:*", "Resource": "*"}
    later = {"Version": "1", "Statement": [everything]}
    expected = [
        Expected("still open", DENY, "oss:GetObject", f"{BUCKET}/private/report.txt"),
        Expected("still open", DENY, "oss:GetObject", f"{BUCKET}/private/2026/a.txt"),
        Expected("other objects", ALLOW, "oss:GetObject", f"{BUCKET}/photos/1.jpg"),
        Expected("no listing", ALLOW, "oss:ListObjects", BUCKET),
    ]
    found = _first_unmet([document, later], expected)
    if found == "still open" and not _first_unmet([_denying_all(document), later], expected[:3]):
        return "another action"
    return found


def _denying_all(document: Any) -> dict[str, Any]:
    """The document with each Deny made one of every action."""
    read = json.loads(document) if isinstance(document, str) else document
    wider = [one | {"Action": "*"} if one["Effect"] == "Deny" else one for one in read["Statement"]]
    return {**read, "Statement": wider}


# 02 Attach the role to an instance


@_exercise(
    notebook="02",
    level="complete a line",
    minutes=3,
    title="A list as text",
    prompt="`InstanceIds` takes a list, written as text. Complete the function that turns a Python "
    "list of ids into that text. It must work for one id and for several.",
    starter="""\
def instance_ids_text(instance_ids):
    return ...

check.instance_ids(instance_ids_text)""",
    answers=("json.dumps(instance_ids)",),
    hints=(
        'For one instance the text is ["i-bp67acfmxazb4p****"], brackets and quotes included.',
        "It is JSON. Python's str() of a list looks alike, but has other quotes.",
        "The module json has a function that writes any list as JSON text.",
    ),
    misconceptions={
        "a list": "This is still a list. In a query there is only text, so the list has to be "
        "written as text first.",
        "not JSON": "This text is not JSON: JSON puts strings in double quotes and a list in "
        "brackets. ECS answers such a text with InvalidInstanceIds.Malformed.",
        "other ids": "This is JSON, but not a list with exactly the ids that were given.",
    },
    lesson="Where an RPC parameter holds a list, the description says whether it is JSON text "
    "(InstanceIds) or numbered parameters (Tag.1.Key).",
)
def instance_ids(function: Callable[[list[str]], str]) -> str:
    for ids in (["i-bp67acfmxazb4p****"], ["i-bp1example1****", "i-bp1example2****"]):
        text = function(list(ids))
        if not isinstance(text, str):
            return "a list"
        try:
            listed = json.loads(text)
        except ValueError:
            return "not JSON"
        if listed != ids:
            return "other ids"
    return ""


INSTANCE = f"acs:ecs:cn-hangzhou:{OWNER}:instance/i-bp67acfmxazb4p****"
ROLE = f"acs:ram:*:{OWNER}:role/WebServerRole"
OTHER_ROLE = f"acs:ram:*:{OWNER}:role/AdministratorRole"
TO_ECS = {"acs:Service": "ecs.aliyuncs.com"}
TO_ANOTHER = {"acs:Service": "fc.aliyuncs.com"}


@_exercise(
    notebook="02",
    level="change a policy",
    minutes=6,
    title="The smallest policy that attaches one role",
    prompt="A RAM user shall be able to attach the role `WebServerRole` to instances, and nothing "
    "else: no other role, no other service, no other operation. Complete the policy.",
    starter="""\
my_policy = {
    "Version": "1",
    "Statement": [
        {"Effect": "Allow", "Action": ..., "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "ram:PassRole",
            "Resource": ...,
            "Condition": ...,
        },
    ],
}
check.attach_one_role(my_policy)""",
    answers=(
        '"ecs:AttachInstanceRamRole"',
        '"acs:ram:*:*:role/WebServerRole"',
        '{"StringEquals": {"acs:Service": "ecs.aliyuncs.com"}}',
    ),
    hints=(
        "Two rights are needed: to call the ECS operation, and to hand over the role.",
        "A role's resource is acs:ram:*:*:role/<RoleName>.",
        "The service that receives the role is in the condition key acs:Service; compare it with "
        "StringEquals.",
    ),
    misconceptions={
        "cannot attach": "The user may not call AttachInstanceRamRole on an instance.",
        "cannot pass": "The user may not pass WebServerRole to ECS. The resource has to cover the "
        "role, and the condition has to hold when acs:Service is ecs.aliyuncs.com.",
        "any role": "The user may pass other roles too, AdministratorRole for one, and so get the "
        "rights of whichever role is the strongest.",
        "any service": "The user may pass the role to another service than ECS: the condition does "
        "not compare acs:Service.",
        "more operations": "The user may call more than AttachInstanceRamRole, such as "
        "DeleteInstance.",
    },
    lesson="Whoever may pass any role has the rights of every role. Name the role, and the service "
    "that gets it.",
)
def attach_one_role(document: Any) -> str:
    return _first_unmet(
        document,
        [
            Expected("cannot attach", ALLOW, "ecs:AttachInstanceRamRole", INSTANCE),
            Expected("cannot pass", ALLOW, "ram:PassRole", ROLE, TO_ECS),
            Expected("any role", REFUSE, "ram:PassRole", OTHER_ROLE, TO_ECS),
            Expected("any service", REFUSE, "ram:PassRole", ROLE, TO_ANOTHER),
            Expected("more operations", REFUSE, "ecs:DeleteInstance", INSTANCE),
            Expected("more operations", REFUSE, "ecs:CreateInstance", INSTANCE),
            Expected("more operations", REFUSE, "ram:CreateRole", ROLE),
        ],
    )


@_exercise(
    notebook="02",
    level="diagnose a failure",
    minutes=5,
    title="Which statement is missing?",
    prompt="A RAM user with the policy below attaches `WebServerRole` and gets\n\n"
    "> 403 `InvalidUser.PassRoleForbidden`: The RAM user does not have the privilege to pass a RAM "
    "role.\n\nAdd the one statement that is missing.",
    starter="""\
my_policy = {
    "Version": "1",
    "Statement": [
        {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"},
        {"Effect": "Allow", "Action": ["ram:Get*", "ram:List*"], "Resource": "*"},
        {"Effect": "Allow", "Action": ..., "Resource": ...},
    ],
}
check.refused_attachment(my_policy)""",
    answers=('"ram:PassRole"', '"acs:ram:*:*:role/WebServerRole"'),
    hints=(
        "The ECS operation is allowed, so something else was asked. The code says what.",
        "ECS asks RAM whether this user may pass the role. That is a right in the service ram.",
        "The action is ram:PassRole, its resource the role.",
    ),
    misconceptions={
        "assuming": "sts:AssumeRole is what ECS does later, by the role's trust policy. The user "
        "only hands the role over, and that is another right.",
        "attaching a policy": "ram:AttachPolicyToRole ties a policy to a role. What was refused is "
        "to hand the role to an instance.",
        "still refused": "The user may still not pass WebServerRole. Read the error's code: it "
        "names the right that is missing.",
        "everything": "It works, and the user may now also create roles and write policies for "
        "them. Allow the one action that was refused.",
    },
    lesson="Attaching a role asks two questions: may you call the ECS operation, and may you pass "
    "this role? The error's code says which one was answered with no.",
)
def refused_attachment(document: Any) -> str:
    def allows(action: str, resource: str = ROLE) -> bool:
        return decide(document, action, resource, TO_ECS).effect == "Allow"

    if not allows("ram:PassRole"):
        wrong = {"assuming": "sts:AssumeRole", "attaching a policy": "ram:AttachPolicyToRole"}
        return next((name for name, action in wrong.items() if allows(action)), "still refused")
    return "everything" if allows("ram:CreateRole") or allows("ram:CreatePolicy", "*") else ""


# 03 Get STS credentials from the metadata address


TTL_HEADER = "x-aliyun-ecs-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aliyun-ecs-metadata-token"


@_exercise(
    notebook="03",
    level="complete a line",
    minutes=3,
    title="The two headers of the hardened mode",
    prompt="On a hardened instance a program first asks for a token with PUT, then reads with it. "
    "Complete the headers of both requests; the token is to live as long as it can.",
    starter="""\
put_headers = {"____": "____"}
get_headers = {"____": "the token"}
check.metadata_headers(put_headers, get_headers)""",
    answers=(
        "X-aliyun-ecs-metadata-token-ttl-seconds",
        "21600",
        "X-aliyun-ecs-metadata-token",
    ),
    hints=(
        "Both names begin with X-aliyun-ecs-metadata-token.",
        "The first one goes on with -ttl-seconds. A token lives for six hours at most.",
        "Six hours are 21600 seconds. A header's value is text.",
    ),
    misconceptions={
        "swapped": "The other way round: with PUT you say how long the token is to live, with GET "
        "you show the token.",
        "another name": "One of the two headers has another name than the metadata address reads, "
        "which then acts as if it were not there.",
        "too long": "The time to live is a whole number of seconds, from 1 to 21600.",
        "shorter": "The token works, but it could live longer: six hours.",
        "a number": "A header's value is text; requests refuses a number.",
    },
    lesson="Asking takes a PUT and a header of its own. A program that is tricked into fetching an "
    "address sends neither.",
)
def metadata_headers(put_headers: Mapping[str, str], get_headers: Mapping[str, str]) -> str:
    put = {name.lower(): value for name, value in put_headers.items()}
    get = {name.lower(): value for name, value in get_headers.items()}
    if TOKEN_HEADER in put or TTL_HEADER in get:
        return "swapped"
    if TTL_HEADER not in put or TOKEN_HEADER not in get:
        return "another name"
    seconds = put[TTL_HEADER]
    if not isinstance(seconds, str):
        return "a number"
    if not re.fullmatch("[0-9]+", seconds) or not 1 <= int(seconds) <= 21600:
        return "too long"
    return "" if int(seconds) == 21600 else "shorter"


LIFE, OFFER = timedelta(hours=6), timedelta(minutes=30)
START = datetime(2017, 6, 9, 3, 17, 18, tzinfo=timezone.utc)


def _document(issued: datetime) -> dict[str, str]:
    """A credential as the metadata address gives it, for ``issued`` (aware, UTC)."""
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "AccessKeyId": f"STS.Example{issued:%d%H%M%S}",
        "AccessKeySecret": "ExampleSecret",
        "Expiration": (issued + LIFE).strftime(form),
        "SecurityToken": "ExampleToken",
        "LastUpdated": issued.strftime(form),
        "Code": "Success",
    }


@_exercise(
    notebook="03",
    level="complete a line",
    minutes=5,
    title="When must you fetch again?",
    prompt="Complete the function: given a document of the metadata address and the current time "
    "(both in UTC), must the application fetch again? Not as long as the address would only give "
    "the same credential, and not so late that a request could meet an expired one.",
    starter="""\
def must_fetch(document, now):
    expiration = datetime.fromisoformat(document["Expiration"].replace("Z", "+00:00"))
    return ...

check.must_fetch(must_fetch)""",
    answers=("expiration - now <= timedelta(minutes=30)",),
    hints=(
        "The next credential is offered 30 minutes before the current one expires.",
        "expiration - now is the time that is left.",
        "Compare the time that is left with timedelta(minutes=30).",
    ),
    misconceptions={
        "the wrong way round": "It says yes when the credential is new and no when it is about to "
        "expire. Turn the comparison round.",
        "too early": "45 minutes before the end it already says yes. Until 30 minutes before the "
        "end the address gives the same credential again.",
        "too late": "Five minutes before the end it says no. A request that is signed now and sent "
        "again after a hitch may arrive with an expired token.",
        "expired": "It says no although the credential has expired.",
    },
    lesson="Fetch in the last 30 minutes: then the new credential is there and the old one still "
    "works.",
)
def must_fetch(function: Callable[[dict[str, str], datetime], bool]) -> str:
    def says_yes(left: timedelta) -> bool:
        return bool(function(_document(START), START + LIFE - left))

    new, soon, near = (says_yes(timedelta(minutes=minutes)) for minutes in (350, 45, 5))
    if new and not near:
        return "the wrong way round"
    if new or soon:
        return "too early"
    if not near:
        return "too late"
    return "" if says_yes(timedelta(minutes=-5)) else "expired"


class _Address:
    """Gives what the metadata address gives, by a clock of its own: ``now``."""

    def __init__(self) -> None:
        self.now = START
        self.issued = [START]
        self.fetches = 0

    def fetch(self) -> dict[str, str]:
        self.fetches += 1
        if self.now >= self.issued[-1] + LIFE - OFFER:
            self.issued.append(self.now)
        return _document(self.issued[-1])


@_exercise(
    notebook="03",
    level="diagnose a failure",
    minutes=8,
    title="The provider that never fetches again",
    prompt="This provider works in every test and fails after six hours in production: it fetches "
    "once. Complete `is_stale`, so that it never hands out an expired credential and does not ask "
    "the address more often than needed. Your `must_fetch` may help.",
    starter="""\
class Provider:
    def __init__(self, fetch, now):
        self.fetch, self.now, self.document = fetch, now, None

    def is_stale(self):
        return ...

    def get_credentials(self):
        if self.document is None or self.is_stale():
            self.document = self.fetch()
        return self.document

check.provider(Provider)""",
    answers=("must_fetch(self.document, self.now())",),
    hints=(
        "The check runs the provider for a day and asks for a credential every five minutes.",
        "self.now() is the time, self.document the last document; Expiration is in it.",
        "You have already written that question: must_fetch(document, now).",
    ),
    misconceptions={
        "never": "After six hours it still hands out the first credential, which has expired.",
        "too late": "It hands out a credential that expires within a minute. Fetch while the old "
        "one still works.",
        "each time": "It asks the address at every call. Callers are told to cache, and frequent "
        "reads may be throttled.",
        "too early": "It fetches before the address has a new credential, and gets the same one "
        "again and again.",
    },
    lesson="Keep the credential, and look at its Expiration each time you hand it out.",
)
def provider(provider_class: Callable[..., Any]) -> str:
    address = _Address()
    caching = provider_class(address.fetch, lambda: address.now)
    moments = [START + timedelta(minutes=minutes, seconds=-30) for minutes in range(5, 1440, 5)]
    left = []
    for address.now in moments:
        expiration = caching.get_credentials()["Expiration"]
        left.append(datetime.fromisoformat(expiration.replace("Z", "+00:00")) - address.now)
    if min(left) < timedelta(minutes=1):
        return "never" if address.fetches <= 1 else "too late"
    if address.fetches >= len(moments):
        return "each time"
    return "too early" if address.fetches > 2 * len(address.issued) else ""


# 04 Use the credentials to access OSS


@_exercise(
    notebook="04",
    level="complete a line",
    minutes=5,
    title="Which endpoint?",
    prompt="Complete the function that chooses the endpoint for a program on an ECS instance: the "
    "internal one where it can be reached, the public one elsewhere; regions are given as "
    "`cn-hangzhou`.",
    starter="""\
def choose_endpoint(instance_region, bucket_region):
    if instance_region == bucket_region:
        return ...
    return ...

check.endpoint(choose_endpoint)""",
    answers=(
        'f"https://oss-{bucket_region}-internal.aliyuncs.com"',
        'f"https://oss-{bucket_region}.aliyuncs.com"',
    ),
    hints=(
        "The bucket decides the region in the name: oss-<region>.aliyuncs.com.",
        "An internal endpoint is reached from instances of its own region only. Its name ends in "
        "-internal before the first dot.",
        "Write https:// in front: oss2 takes an endpoint without it for http.",
    ),
    misconceptions={
        "no https": "The request goes over http, and the security token with it, in clear: oss2 "
        "adds http:// where the endpoint says nothing.",
        "the instance's region": "This is the endpoint of the instance's region. A bucket answers "
        "at the endpoint of its own region only; another one refuses with AccessDenied.",
        "public": "It works. But in the bucket's own region the internal endpoint can be reached, "
        "and traffic over it is free.",
        "internal elsewhere": "From an instance in another region an internal endpoint does not "
        "work: no answer comes.",
        "another name": "This is no endpoint of OSS: oss-<region>.aliyuncs.com or "
        "oss-<region>-internal.aliyuncs.com, without the bucket's name.",
    },
    lesson="The endpoint follows the bucket's region; -internal is for instances in that region; "
    "https is for you to write.",
)
def endpoint(function: Callable[[str, str], str]) -> str:
    near = urlsplit(function("cn-hangzhou", "cn-hangzhou"))
    far = urlsplit(function("cn-beijing", "cn-qingdao"))
    if {near.scheme, far.scheme} != {"https"}:
        return "no https"
    if "cn-beijing" in far.netloc:
        return "the instance's region"
    names = {
        "": ("oss-cn-hangzhou-internal.aliyuncs.com", "oss-cn-qingdao.aliyuncs.com"),
        "public": ("oss-cn-hangzhou.aliyuncs.com", "oss-cn-qingdao.aliyuncs.com"),
    }
    if far.netloc == "oss-cn-qingdao-internal.aliyuncs.com":
        return "internal elsewhere"
    found = (name for name, hosts in names.items() if hosts == (near.netloc, far.netloc))
    return next(found, "another name")


class _Bucket:
    """The listing of a bucket with 260 objects, a page at a time, as oss2.Bucket gives it."""

    def __init__(self) -> None:
        self.keys = [f"{folder}/{n:03}.jpg" for folder in ("photos", "scans") for n in range(130)]
        self.prefixes: list[str] = []

    def list_objects(
        self, prefix: str = "", delimiter: str = "", marker: str = "", max_keys: int = 100, **_: Any
    ) -> SimpleNamespace:
        from oss2.models import SimplifiedObjectInfo

        self.prefixes.append(prefix)
        if len(self.prefixes) > 400:
            raise RuntimeError("the same page is listed for ever; go on at next_marker")
        keys = [key for key in self.keys if key.startswith(prefix) and key > marker]
        page = [SimplifiedObjectInfo(key, 0, "", "Normal", 0, "") for key in keys[:max_keys]]
        return SimpleNamespace(
            object_list=page,
            prefix_list=[],
            is_truncated=len(keys) > max_keys,
            next_marker=page[-1].key if page else "",
        )


@_exercise(
    notebook="04",
    level="complete a line",
    minutes=5,
    title="All keys below a prefix",
    prompt="Complete the function that returns the keys of all objects below a prefix, however "
    "many pages they fill. The check calls it with a bucket of its own; nothing is sent.",
    starter="""\
def keys_below(bucket, prefix):
    return [found.key for found in ...]

check.keys_below(keys_below)""",
    answers=("oss2.ObjectIterator(bucket, prefix=prefix)",),
    hints=(
        "bucket.list_objects() gives one page. Something in oss2 asks for the next by itself.",
        "oss2.ObjectIterator walks through all pages of a bucket.",
        "It takes the prefix as well: prefix=prefix.",
    ),
    misconceptions={
        "one page": "Only the first page came back. max_keys is the size of a page, not a limit; "
        "go on until is_truncated is false.",
        "everything": "These are the keys of the whole bucket, not only those below the prefix.",
        "filtered here": "The keys are right, but the whole bucket was listed to find them. Let "
        "OSS look for the prefix.",
        "other keys": "These are not the keys of the objects below the prefix.",
    },
    lesson="An iterator hides the pages, not their cost: each page is a request, so let OSS do the "
    "filtering.",
)
def keys_below(function: Callable[[Any, str], list[str]]) -> str:
    bucket = _Bucket()
    keys = list(function(bucket, "photos/"))
    wanted = [key for key in bucket.keys if key.startswith("photos/")]
    if keys == wanted:
        return "filtered here" if "" in bucket.prefixes else ""
    if keys == bucket.keys:
        return "everything"
    return "one page" if keys and set(keys) < set(bucket.keys) else "other keys"


CAUSES = ("wrong secret", "token missing", "token expired", "wrong endpoint", "no permission")


@_exercise(
    notebook="04",
    level="diagnose a failure",
    minutes=6,
    title="Three refusals, read from their bodies",
    prompt=f"""\
Three programs fail. All you have is what OSS answered. Say what is wrong with each one: \
{", ".join(f"`{cause}`" for cause in CAUSES)}.

```xml
<!-- A -->
<Code>InvalidAccessKeyId</Code>
<Message>The OSS Access Key Id you provided does not exist in our records. The Security Token may \
be lost to specify that it is a STS Access Id.</Message>
<!-- B -->
<Code>AccessDenied</Code>
<Message>You have no right to access this object because of bucket acl.</Message>
<!-- C -->
<Code>AccessDenied</Code>
<Message>The bucket you are attempting to access must be addressed using the specified endpoint. \
Please send all future requests to this endpoint.</Message>
<Endpoint>oss-cn-qingdao.aliyuncs.com</Endpoint>
```""",
    starter="""\
causes = {"A": "____", "B": "____", "C": "____"}
check.causes(causes)""",
    answers=("token missing", "no permission", "wrong endpoint"),
    hints=(
        "The Code names the family, the Message the member. Read both to the end.",
        "A: the key exists, but temporary keys are known only together with something. C names "
        "what to use instead.",
        "B: with a role there is no ACL of yours involved; this is what OSS says when no policy "
        "allows the call.",
    ),
    misconceptions={
        "A": "A is something else. A wrong secret gives SignatureDoesNotMatch, an expired token "
        "SecurityTokenExpired. Here the key was looked up alone: what has to come with a temporary "
        "key?",
        "B": "B is something else. In spite of its wording this is the usual answer when no policy "
        "allows the call.",
        "C": "C is something else. The body names the endpoint that the bucket belongs to.",
        "no such cause": f"Each answer is one of: {', '.join(CAUSES)}.",
    },
    lesson="Same Code, different cause: read the Message and the fields after it before you change "
    "a policy.",
)
def causes(answers: Mapping[str, str]) -> str:
    right = {"A": "token missing", "B": "no permission", "C": "wrong endpoint"}
    if not set(answers.values()) <= set(CAUSES):
        return "no such cause"
    return next((name for name, cause in right.items() if answers.get(name) != cause), "")
