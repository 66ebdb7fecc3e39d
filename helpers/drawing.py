"""The pictures of the notebooks as SVG text: sequence diagrams, credential bars, the journey.

Each function lays out what it is given on a grid and writes plain shapes: no ids, no styles, no
scripts, no fonts to load, whole numbers only. So the same input gives the same bytes, and the file
draws alike in JupyterLab, on GitHub and offline. Every picture has a background of its own, to be
read in light and dark themes, and says in words whatever a colour says. ``title`` and ``desc``
carry it for those who do not see it.

``python -m helpers.drawing`` writes the journey's files again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

INK, QUIET, PAPER, LINE = "#1f2328", "#59636e", "#ffffff", "#d1d9e0"
BLUE, PALE_BLUE, GREEN, RED = "#0550ae", "#ddf4ff", "#116329", "#a40e26"
PROGRAM = "Your program"
_LANE = 84  # where the program's line stands
IMAGES = Path(__file__).resolve().parent.parent / "notebooks" / "images"


class Drawing(NamedTuple):
    """A picture and the same in words."""

    svg: str
    title: str
    text: str


class Message(NamedTuple):
    """One request and what came back; ``numbers`` is what its line in the table is called."""

    numbers: str
    receiver: str
    request: str
    answer: str
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.numbers}. {self.request} to {self.receiver}, answered {self.answer}"


class Bar(NamedTuple):
    """A span of time, in minutes from the first bar's start."""

    label: str
    start: int
    end: int


class Step(NamedTuple):
    title: str
    service: str


STEPS = (
    Step("Create the role", "RAM"),
    Step("Attach the role", "ECS"),
    Step("Get credentials", "metadata address"),
    Step("Access OSS", "OSS"),
)


class _Canvas:
    """Shapes on a white card of ``width`` by ``height`` pixels."""

    def __init__(self, width: int, height: int, title: str, text: str) -> None:
        size = {"width": width, "height": height, "viewBox": f"0 0 {width} {height}"}
        self._svg = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
        self._svg.attrib |= {name: str(value) for name, value in size.items()}
        self._svg.attrib |= {"font-family": "system-ui, sans-serif", "font-size": "13"}
        self.add("title", _printable(title))
        self.add("desc", _printable(text))
        self.box(1, 1, width - 2, height - 2, fill=PAPER, stroke=LINE, rx=6)

    def __str__(self) -> str:
        return ElementTree.tostring(self._svg, encoding="unicode") + "\n"

    def add(self, tag: str, text: str = "", **attributes: Any) -> None:
        named = {name.replace("_", "-"): str(value) for name, value in attributes.items()}
        ElementTree.SubElement(self._svg, tag, named).text = text

    def box(self, x: int, y: int, width: int, height: int, **attributes: Any) -> None:
        self.add("rect", x=x, y=y, width=width, height=height, **attributes)

    def text(self, x: int, y: int, text: str, fill: str = INK, **attributes: Any) -> None:
        self.add("text", _printable(text), x=x, y=y, fill=fill, **attributes)

    def line(self, x1: int, y1: int, x2: int, y2: int, stroke: str, **attributes: Any) -> None:
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, **attributes)

    def arrow(self, x1: int, x2: int, y: int, stroke: str, **attributes: Any) -> None:
        """A horizontal arrow. Its head is a shape, since an SVG marker would need an id."""
        back = 8 if x2 < x1 else -8
        self.line(x1, y, x2 + back // 2, y, stroke, stroke_width=2, **attributes)
        self.add("polygon", points=f"{x2},{y} {x2 + back},{y - 4} {x2 + back},{y + 4}", fill=stroke)


def _printable(text: str) -> str:
    """XML has no place for control characters."""
    return "".join(character if character.isprintable() else " " for character in text)


def _shortened(label: str) -> str:
    """A long label keeps its verb and its end, as a path says most at its end."""
    verb, _, rest = label.partition(" ")
    return label if len(label) <= 56 else f"{verb} … {rest[-(52 - len(verb)) :]}"


def sequence(messages: Sequence[Message]) -> Drawing:
    """Who was asked what and what came back, from top to bottom."""
    receivers = list(dict.fromkeys(message.receiver for message in messages))
    title = f"Requests from your program to {', '.join(receivers) or 'nobody'}"
    text = "\n".join(map(str, messages)) or "Nothing was sent."
    # The labels stand beside the program's line, so the first gap is as wide as the longest.
    labels = [_shortened(label) for each in messages for label in (each.request, each.answer)]
    longest = max(map(len, labels), default=0)
    lanes = {n: _LANE + max(8 * longest + 36, 250) + 136 * i for i, n in enumerate(receivers)}
    bottom = 70 + 56 * len(messages)
    canvas = _Canvas(max(lanes.values(), default=200) + 76, bottom + 20, title, text)
    for name, x in {PROGRAM: _LANE, **lanes}.items():
        canvas.line(x, 50, x, bottom, LINE, stroke_width=2)
        canvas.box(x - 62, 18, 124, 32, fill=PALE_BLUE, stroke=BLUE, rx=4)
        canvas.text(x, 39, name, text_anchor="middle", font_weight="bold")
    for row, message in enumerate(messages):
        _draw_message(canvas, message, lanes[message.receiver], 84 + 56 * row)
    return Drawing(str(canvas), title, text)


def _draw_message(canvas: _Canvas, message: Message, lane: int, y: int) -> None:
    colour = RED if message.refused else GREEN
    canvas.text(_LANE - 14, y + 4, message.numbers, QUIET, text_anchor="end")
    canvas.text(_LANE + 14, y - 5, _shortened(message.request))
    canvas.arrow(_LANE + 1, lane - 1, y, BLUE)
    canvas.text(_LANE + 14, y + 19, _shortened(message.answer), colour, font_weight="bold")
    canvas.arrow(lane - 1, _LANE + 1, y + 24, colour, stroke_dasharray="6 4")


def duration(minutes: int) -> str:
    """``0 h``, ``30 min``, ``5 h 30 min``."""
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours or not rest) + [f"{rest} min"] * bool(rest))


def gantt(title: str, bars: Sequence[Bar]) -> Drawing:
    """Bars of time one below the other, and the time that each shares with the next."""
    overlaps = [(after.start, bar.end) for bar, after in pairwise(bars)]
    lines = [f"{bar.label}: from {duration(bar.start)} to {duration(bar.end)}" for bar in bars]
    lines += [_shared(start, end) for start, end in overlaps]
    text = "\n".join(lines) or "Nothing to show."
    hours = -(-max((bar.end for bar in bars), default=60) // 60)
    bottom = 72 + 40 * len(bars)
    canvas = _Canvas(760, bottom + 30, title, text)
    _draw_hours(canvas, hours, bottom)
    for start, end in overlaps:
        _draw_overlap(canvas, _at(start, hours), _at(end, hours), bottom, duration(end - start))
    for row, bar in enumerate(bars):
        x, y = _at(bar.start, hours), 68 + 40 * row
        canvas.text(16, y + 17, bar.label, font_weight="bold")
        canvas.box(x, y, _at(bar.end, hours) - x, 26, fill=PALE_BLUE, stroke=BLUE, rx=4)
        canvas.text(x + 10, y + 17, f"valid for {duration(bar.end - bar.start)}", BLUE)
    return Drawing(str(canvas), title, text)


def _shared(start: int, end: int) -> str:
    if start < end:
        return f"both valid from {duration(start)} to {duration(end)}: {duration(end - start)}"
    return f"none valid from {duration(end)} to {duration(start)}: {duration(start - end)}"


def _at(minute: int, hours: int) -> int:
    """Where a minute lies on an axis of so many hours."""
    return 130 + round(600 * minute / (60 * hours))


def _draw_hours(canvas: _Canvas, hours: int, bottom: int) -> None:
    for hour in range(0, hours + 1, max(1, -(-hours // 12))):
        x = _at(60 * hour, hours)
        canvas.line(x, 52, x, bottom, LINE)
        canvas.text(x, bottom + 18, f"{hour} h", QUIET, text_anchor="middle")


def _draw_overlap(canvas: _Canvas, x1: int, x2: int, bottom: int, shared: str) -> None:
    if x1 < x2:
        canvas.box(x1, 40, x2 - x1, bottom - 40, fill="#fff1c2")
        canvas.text((x1 + x2) // 2, 32, f"both valid: {shared}", text_anchor="middle")


def journey(step: int) -> str:
    """The four notebooks in a row, ``step`` (1 to 4) marked as where you are; SVG text."""
    canvas = _Canvas(760, 136, "The journey of four notebooks", journey_alt(step))
    for number, each in enumerate(STEPS, 1):
        x = 20 + 184 * (number - 1)
        _draw_step(canvas, x, number, each, number - step)
        if number < len(STEPS):
            canvas.arrow(x + 164, x + 184, 78, INK)
    return str(canvas)


def _draw_step(canvas: _Canvas, x: int, number: int, step: Step, ahead: int) -> None:
    here = ahead == 0
    ink = PAPER if here else INK
    canvas.box(x, 44, 164, 68, fill=BLUE if here else PAPER, stroke=BLUE if here else QUIET, rx=6)
    canvas.text(
        x + 82, 72, f"{number}. {step.title}", ink, text_anchor="middle", font_weight="bold"
    )
    canvas.text(x + 82, 94, step.service, ink if here else QUIET, text_anchor="middle")
    if here:
        canvas.text(x + 82, 26, "You are here", BLUE, text_anchor="middle", font_weight="bold")
        canvas.add("polygon", points=f"{x + 76},32 {x + 88},32 {x + 82},40", fill=BLUE)


def journey_alt(step: int) -> str:
    """The same in one sentence, for the picture's alternative text and the line below it.

    Raises ValueError for a step that does not exist.
    """
    if step not in range(1, len(STEPS) + 1):
        raise ValueError(f"step is {step!r}; it must be a number from 1 to {len(STEPS)}.")
    titles = [f"{number}. {each.title} ({each.service})" for number, each in enumerate(STEPS, 1)]
    titles[step - 1] += ", where you are"
    return f"Four steps: {'; '.join(titles)}."


def write_journeys(folder: Path = IMAGES) -> None:
    """Write ``journey-1.svg`` to ``journey-4.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    for step in range(1, len(STEPS) + 1):
        (folder / f"journey-{step}.svg").write_text(journey(step), "utf-8")


if __name__ == "__main__":
    write_journeys()
