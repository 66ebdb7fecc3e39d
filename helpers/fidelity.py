"""What the stand-in answers and where each answer comes from, as a document.

It is written from the tables of operations and from the recordings' ``sources.json``, so that
nothing stands in it that the code does not have. Only the words on what is left out are written
here, as no table has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .recordings import COMMON, Recording, Recordings, load
from .sandbox.oss_gateway import OPERATIONS
from .sandbox.rpc import GATEWAY_PARAMETERS
from .sandbox.sandbox import RPC_SERVICES

COMMAND = "python -m helpers recordings fidelity > docs/fidelity.md"
PROVENANCES = {
    "recorded": "received from the service and masked",
    "documented": "published by the provider: its documentation (or a copy of it), or its own code",
    "seen in the wild": "quoted in a public issue, a log or another project's tests",
    "modelled": "put together here, because no public source shows it; the note says from what",
}
TITLES = {
    "ram": "RAM",
    "sts": "STS",
    "ecs": "ECS",
    "metadata": "Metadata address",
    "oss": "OSS",
}
INTRODUCTION = f"""# Fidelity

What the offline stand-in answers, and where each answer comes from. This file is written by

    {COMMAND}

and a test fails if it is stale.

What an answer looks like is a recording. Which answer is given is decided by checks on the state of
a small account: keys, signatures, times, tokens, policies, then the operation's own rules. An
operation, a parameter or a header that is not listed is not guessed: the call raises `NotModelled`,
which says what is served.
"""
# What the services do and the stand-in does not; each was looked up in the code.
LEFT_OUT = {
    "": [
        "Every change holds at once, and every answer comes at once.",
        "No limits on the number of calls; throttling comes only on request (`cloud.faults.next`).",
        "One account. Roles and buckets of other accounts are refused or not modelled.",
        "Request ids are those of the recordings: the same answer has the same id each time.",
        "Policies: `NotResource`, `IfExists`, `Null` and policy variables are refused by name.",
        "Signatures: RPC 1.0 and ACS3 for RAM, STS and ECS; V1 and V4 for OSS. No others.",
    ],
    "ram": [
        "No system policies: `AttachPolicyToRole` of one answers that it does not exist.",
        "RAM users are made by `cloud.sign_in_as`, not by an operation; there are no groups.",
    ],
    "sts": ["`AssumeRole` only; no federated logon. The issued token has the look of a real one."],
    "ecs": [
        "How long an instance is Pending, Starting or Stopping is published nowhere: here it is 5, "
        "20 and 10 seconds.",
        "In which order an operation checks its parameters is published nowhere.",
        "Pay-as-you-go instances only. Nothing is charged, sold out or out of stock.",
    ],
    "metadata": [
        "The statuses of refusals, and the content types, are published nowhere.",
        "How soon a role appears after it was attached is published nowhere: here at once.",
    ],
    "oss": [
        "Buckets are private, not versioned, of storage class Standard with redundancy LRS.",
        "No bucket policies, access control lists, lifecycle rules, multipart uploads.",
        "What the token of a role that was deleted or detached answers is published nowhere: here "
        "it is `InvalidSecurityToken`.",
    ],
}


def document() -> str:
    """The whole text, in Markdown."""
    recordings = load()
    parts = [INTRODUCTION, _table(("Provenance", "Means"), PROVENANCES.items())]
    parts += ["## How many", _counts(recordings), "## Not covered", _bullets(LEFT_OUT[""])]
    for service in TITLES:
        parts += _service(service, [each for each in recordings if each.service == service])
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _counts(recordings: Recordings) -> str:
    counted = Counter((each.service, each.source["provenance"]) for each in recordings)
    rows = [
        (title, *(str(counted[service, name]) for name in PROVENANCES))
        for service, title in TITLES.items()
    ]
    return _table(("Service", *PROVENANCES), rows)


def _service(service: str, recordings: Sequence[Recording]) -> Iterator[str]:
    done = [each for each in recordings if each.status < 400]
    refused = [each for each in recordings if each.status >= 400]
    known = _operations(service)
    yield f"## {TITLES[service]}"
    yield _bullets(LEFT_OUT[service])
    yield _table(
        ("Operation", "Takes", "Answers", "Provenance"),
        [
            (_name(each), known.get(each.operation, ""), str(each.status), _source(each))
            for each in sorted(done, key=_name)
        ],
    )
    yield _table(
        ("Operation", "Refusal", "Provenance"),
        [
            (_name(each), f"{each.status} {_code(each)}", _source(each))
            for each in sorted(refused, key=lambda each: (_name(each), each.status, each.code))
        ],
    )


def _operations(service: str) -> Mapping[str, str]:
    """Each operation's own parameters, the required ones in bold; of OSS its headers as well."""
    if service == "oss":
        return {
            each.name: ", ".join(sorted({*each.parameters, *each.headers} - {""}))
            for each in OPERATIONS.values()
        }
    tables = [each.operations for each in RPC_SERVICES if each.name == service]
    return {
        name: ", ".join(
            [f"**{each}**" for each in operation.required]
            + sorted(operation.known - GATEWAY_PARAMETERS - {*operation.required})
        )
        for table in tables
        for name, operation in table.items()
    }


def _name(recording: Recording) -> str:
    return "any" if recording.operation == COMMON else recording.operation


def _code(recording: Recording) -> str:
    """The code in the body, and the case, where several recordings have that code."""
    body = recording.tree
    code = body.get("Code") if recording.media == "json" else None
    code = body.findtext("Code") if recording.media == "xml" else code
    return recording.code if code in (None, recording.code) else f"{code} ({recording.code})"


def _source(recording: Recording) -> str:
    source = recording.source
    note = f": {source['note']}" if "note" in source else ""
    return f"[{source['provenance']}]({source['source']}){note}"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    cells = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
