"""What a learner looks at: tables and pictures, made once and equal in each run.

Every function takes data and returns a ``Shown``: HTML for a notebook and the same as plain text.
None of them asks the stand-in, so all hold for a real account too, where only what decided an
answer is not known. Values that differ from run to run are shown as what they are, such as
``(time of the request)``. Secrets are masked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import groupby, islice
from typing import Any
from urllib.parse import quote, urlsplit

from . import drawing, wire
from .masking import mask_text, mask_url
from .message import Exchange
from .policy import Document, PolicyError, decide
from .trace import describe

_LEFT = 'style="text-align:left"'


class Shown:
    """Something to look at: ``html`` in a notebook, ``text`` wherever there is none."""

    def __init__(self, html: str, text: str) -> None:
        self.html = html
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def show(self) -> None:
        """Show it now, wherever in a cell that is."""
        from IPython.display import display

        display(self)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Shown:
    """A table. The first column names the rows; without rows the caption says so."""
    lines = [[str(cell) for cell in row] for row in rows]
    caption = caption if lines else f"{caption}: nothing"
    head = "".join(f'<th scope="col" {_LEFT}>{escape(name)}</th>' for name in columns)
    html = (
        f'<table style="margin-left:0"><caption {_LEFT}>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, lines))}</tbody></table>"
    )
    return Shown(html, "\n".join([caption, *_aligned([list(columns), *lines])]))


def _row(cells: Sequence[str]) -> str:
    # A long address may break after a slash, so that the table stays within the page.
    first, *rest = (escape(cell).replace("/", "/<wbr/>") for cell in cells)
    others = "".join(f"<td {_LEFT}>{cell}</td>" for cell in rest)
    return f'<tr><th scope="row" {_LEFT}>{first}</th>{others}</tr>'


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(map(str.ljust, line, widths)).rstrip()


def picture(drawn: drawing.Drawing) -> Shown:
    """A drawing with its words as alternative text and, to be opened, below it.

    An image with a percent-encoded address: JupyterLab shows it in a notebook that it does not
    trust yet, where it drops an ``svg`` element, and whoever searches the file still finds words.
    """
    title, text = escape(drawn.title), escape(drawn.text)
    html = (
        f'<img alt="{title}. {text}" src="data:image/svg+xml,{quote(drawn.svg)}"/>'
        f"<details><summary>The same as text</summary><pre>{text}</pre></details>"
    )
    return Shown(html, f"{drawn.title}\n{drawn.text}")


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``values`` without its secrets."""
    shown: dict[str, Any] = json.loads(mask_text(json.dumps(dict(values))))
    return shown


def exchanges(trace: Iterable[Exchange]) -> Shown:
    """What the SDKs really sent, what came back, and what decided it.

    Equal exchanges that follow each other share a row.
    """
    columns = ("#", "Service", "Operation", "Request", "Answer", "Decided by")
    rows = [(numbers, *row) for numbers, _, row in _runs(trace, _told)]
    return table("What was sent and what came back", columns, rows)


def _told(exchange: Exchange) -> tuple[str, ...]:
    service, operation, answer, _ = _ends(exchange)
    sent = f"{exchange.request.method} {mask_url(exchange.request.url.partition('?')[0])}"
    return service, operation, sent, answer, _decided(exchange)


def sequence(trace: Iterable[Exchange]) -> Shown:
    """The same as a sequence diagram."""
    messages = []
    for numbers, times, (service, operation, answer, refused) in _runs(trace, _ends):
        request = f"{operation}, {times} times" if times > 1 else operation
        messages.append(drawing.Message(numbers, service, request, answer, refused))
    return picture(drawing.sequence(messages))


def _runs(trace: Iterable[Exchange], key: Callable[[Exchange], Any]) -> Iterator[Any]:
    """Runs of equal exchanges: their numbers as text, how many there are, their key."""
    for found, group in groupby(enumerate(trace, 1), lambda numbered: key(numbered[1])):
        first, *more = (number for number, _ in group)
        yield f"{first}-{more[-1]}" if more else str(first), 1 + len(more), found


def _ends(exchange: Exchange) -> tuple[str, str, str, bool]:
    """Service, operation, answer, and whether that is a refusal."""
    service, operation = describe(exchange.request)
    if service == "metadata":
        operation = f"{exchange.request.method} {'/'.join(exchange.request.path.split('/')[-2:])}"
    service = "Metadata" if service == "metadata" else service.upper()
    if exchange.response is None:
        return service, operation, mask_text(f"nothing: {exchange.error}"), True
    status = exchange.response.status
    code = wire.error_fields(exchange.response).get("Code", "")
    return service, operation, f"{status} {code}".strip(), status >= 400


def _decided(exchange: Exchange) -> str:
    decided = exchange.response.decided if exchange.response else None
    if decided is None:
        return ""
    # Not a colon: what follows "signature:" is taken for a signature wherever texts are masked.
    return mask_text(f"{decided.check} ({decided.reason})").removesuffix(" ()")


def signed_request(trace: Iterable[Exchange]) -> Shown:
    """The first of these requests, opened part by part: each and what it is for."""
    rows: list[tuple[str, str, str]] = []
    for exchange in islice(trace, 1):
        url = urlsplit(exchange.request.url)
        rows.append(("Method", exchange.request.method, ""))
        rows.append(("Address", mask_url(f"{url.scheme}://{exchange.request.host}{url.path}"), ""))
        rows.extend(map(_part, wire.parts(exchange.request)))
    return table("The request, part by part", ("Part", "Value", "What it is for"), rows)


def _part(part: wire.Part) -> tuple[str, str, str]:
    note = part.value.startswith("(")
    shown = part.value if note else str(masked({part.name: part.value})[part.name])
    return part.name, shown if len(shown) < 80 else f"{shown[:76]} …", part.purpose


def explain(error: BaseException, trace: Iterable[Exchange] = ()) -> None:
    """Show what a client's error says, and which check decided it.

    It shows itself, so that it also works inside ``except``, and returns nothing, so that a cell
    which ends with it does not show it twice.
    """
    facts = wire.error_facts(error)
    answered = [e for e in trace if e.response and e.response.status == facts["HTTP status"]]
    fields = wire.error_fields(answered[-1].response) if answered else {}
    rows = [(n, mask_text(str(f or fields.get(n) or "not given"))) for n, f in facts.items()]
    rows.append(("Decided by", (answered and _decided(answered[-1])) or "not given"))
    table(type(error).__name__, ("Part", "What it says"), rows).show()


def what_if(documents: Document | Iterable[Document], calls: Iterable[Sequence[Any]]) -> Shown:
    """What a policy, or several, say to each of ``calls``: (action, resource[, context]).

    A document that is no policy is answered with the sentence that says why.
    """
    rows = []
    try:
        for action, resource, *context in calls:
            decision = decide(documents, action, resource, *context)
            asked = ", ".join(
                [resource, *(f"{k}={v}" for each in context for k, v in each.items())]
            )
            rows.append((action, asked, decision.effect, decision.reason))
    except PolicyError as error:
        return table("This is no policy", ("Fault",), [(str(error),)])
    return table("What if", ("Action", "On", "Decision", "Why"), rows)


def timeline(credentials: Iterable[Mapping[str, str]]) -> Shown:
    """The lives of credentials, from the documents that the metadata address gave.

    Each has ``LastUpdated`` and ``Expiration``. One that was given several times is drawn once.
    """
    lives = dict.fromkeys((each["LastUpdated"], each["Expiration"]) for each in credentials)
    spans = [(_time(start), _time(end)) for start, end in lives]
    bars = [
        drawing.Bar(
            f"Credential {number}", _minutes(spans[0][0], start), _minutes(spans[0][0], end)
        )
        for number, (start, end) in enumerate(spans, 1)
    ]
    return picture(drawing.gantt("The life of the credentials", bars))


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def _minutes(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds() / 60)


def show_ledger(entries: Iterable[Any]) -> Shown:
    """What was created: in which region, and whether it was removed or still bills."""
    rows = [(e.resource, e.id, e.region, _state(e)) for e in entries]
    return table("Created in this run", ("Resource", "Id", "Region", "State"), rows)


def _state(entry: Any) -> str:
    if entry.removed:
        return "removed"
    return "STILL BILLS" if entry.bills else "there, free of charge"
