"""The pictures: what they say, that everybody can read it, that the same input draws the same."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from helpers import drawing
from helpers.drawing import Bar, Drawing, Message

SVG = "{http://www.w3.org/2000/svg}"
MESSAGES = [
    Message("1", "RAM", "CreateRole", "200"),
    Message("2-3", "ECS", "DescribeInstanceStatus, 2 times", "200"),
    Message("4", "OSS", "PutObject", "403 AccessDenied", refused=True),
]
BARS = [Bar("Credential 1", 0, 360), Bar("Credential 2", 330, 690)]
IMAGES = Path(__file__).parent.parent / "notebooks" / "images"


def sequence() -> Drawing:
    return drawing.sequence(MESSAGES)


def gantt() -> Drawing:
    return drawing.gantt("Lives", BARS)


PICTURES = {
    "sequence": lambda: sequence().svg,
    "empty sequence": lambda: drawing.sequence([]).svg,
    "gantt": lambda: gantt().svg,
    "empty gantt": lambda: drawing.gantt("Lives", []).svg,
    "journey": lambda: drawing.journey(2),
}
EACH = pytest.mark.parametrize("name", PICTURES)


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@EACH
def test_a_picture_has_a_name_and_words_for_those_who_do_not_see_it(name: str) -> None:
    root = ElementTree.fromstring(PICTURES[name]())
    assert root.attrib["role"] == "img"
    assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert all(child.text for child in root[:2])


@EACH
def test_a_picture_is_drawn_alike_everywhere(name: str) -> None:
    """No script, no style sheet, no font or file to load, no id that a second copy would repeat."""
    root = ElementTree.fromstring(PICTURES[name]())
    shapes = {f"{SVG}{tag}" for tag in ("svg", "title", "desc", "rect", "line", "polygon", "text")}
    assert {element.tag for element in root.iter()} <= shapes
    attributes = {key for element in root.iter() for key in element.attrib}
    assert not attributes & {"id", "class", "style", "href", "onload"}


@EACH
def test_a_picture_has_its_own_background(name: str) -> None:
    root = ElementTree.fromstring(PICTURES[name]())
    first = root[2]
    assert (first.tag, first.attrib["fill"]) == (f"{SVG}rect", "#ffffff")
    assert int(first.attrib["width"]) == int(root.attrib["width"]) - 2


@EACH
def test_the_same_input_draws_the_same_bytes(name: str) -> None:
    assert PICTURES[name]() == PICTURES[name]()


@EACH
def test_everything_lies_inside_the_picture(name: str) -> None:
    root = ElementTree.fromstring(PICTURES[name]())
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    for shape in root.iter():
        for key, value in shape.attrib.items():
            if key in ("x", "x1", "x2"):
                assert 0 <= int(value) <= width
            if key in ("y", "y1", "y2"):
                assert 0 <= int(value) <= height


@pytest.mark.parametrize(
    "colour", [drawing.INK, drawing.QUIET, drawing.BLUE, drawing.GREEN, drawing.RED]
)
@pytest.mark.parametrize("behind", [drawing.PAPER, drawing.PALE_BLUE])
def test_text_has_the_contrast_that_wcag_asks_for(colour: str, behind: str) -> None:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert (luminance(behind) + 0.05) / (luminance(colour) + 0.05) >= 4.5


def test_a_sequence_says_who_was_asked_what_and_what_came_back() -> None:
    shown = words(sequence().svg)
    assert shown[:4] == ["Your program", "RAM", "ECS", "OSS"]
    assert shown[4:7] == ["1", "CreateRole", "200"]
    assert shown[-3:] == ["4", "PutObject", "403 AccessDenied"]
    assert sequence().text.splitlines() == [
        "1. CreateRole to RAM, answered 200",
        "2-3. DescribeInstanceStatus, 2 times to ECS, answered 200",
        "4. PutObject to OSS, answered 403 AccessDenied",
    ]


def test_a_long_path_keeps_its_end_and_the_words_are_complete() -> None:
    path = "GET /latest/meta-data/ram/security-credentials/EcsRamRoleTest"
    drawn = drawing.sequence([Message("1", "Metadata", path, "200")])
    label = next(word for word in words(drawn.svg) if word.startswith("GET"))
    assert label.endswith("ram/security-credentials/EcsRamRoleTest") and len(label) <= 56
    assert path in drawn.text


def test_bars_say_how_long_each_is_valid_and_how_long_both_are() -> None:
    assert "both valid: 30 min" in words(gantt().svg)
    assert words(gantt().svg).count("valid for 6 h") == 2
    assert gantt().text.splitlines() == [
        "Credential 1: from 0 h to 6 h",
        "Credential 2: from 5 h 30 min to 11 h 30 min",
        "both valid from 5 h 30 min to 6 h: 30 min",
    ]


def test_bars_that_do_not_meet_leave_a_gap_in_words_and_no_overlap_in_the_picture() -> None:
    drawn = drawing.gantt("Lives", [Bar("Credential 1", 0, 360), Bar("Credential 2", 400, 760)])
    assert "none valid from 6 h to 6 h 40 min: 40 min" in drawn.text
    assert not any("both" in word for word in words(drawn.svg))


@pytest.mark.parametrize(
    ("minutes", "expected"), [(0, "0 h"), (30, "30 min"), (360, "6 h"), (330, "5 h 30 min")]
)
def test_durations_in_words(minutes: int, expected: str) -> None:
    assert drawing.duration(minutes) == expected


def test_what_is_drawn_is_escaped_and_printable() -> None:
    svg = drawing.sequence([Message("1", "<script>", "a & \x00b", "200")]).svg
    assert "<script>" not in svg
    assert "<script>" in words(svg) and "a &  b" in words(svg)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_the_journey_shows_where_you_are(step: int) -> None:
    root = ElementTree.fromstring(drawing.journey(step))
    [here] = [text for text in root.iter(f"{SVG}text") if text.text == "You are here"]
    filled = [box for box in root.iter(f"{SVG}rect") if box.attrib["fill"] == drawing.BLUE]
    assert [int(box.attrib["x"]) + 82 for box in filled] == [int(here.attrib["x"])]
    [marked] = re.findall(r"(\d)\. [^;]*, where you are", drawing.journey_alt(step))
    assert int(marked) == step


@pytest.mark.parametrize("step", [0, 5, "1", None])
def test_a_step_that_does_not_exist_is_named(step: object) -> None:
    with pytest.raises(ValueError, match=f"step is {step!r}; it must be a number from 1 to 4"):
        drawing.journey(step)  # type: ignore[arg-type]


def test_the_journeys_beside_the_notebooks_are_up_to_date(tmp_path: Path) -> None:
    drawing.write_journeys(tmp_path)
    for drawn in sorted(tmp_path.iterdir()):
        stored = (IMAGES / drawn.name).read_text("utf-8")
        assert stored == drawn.read_text("utf-8"), "run: python -m helpers.drawing"
