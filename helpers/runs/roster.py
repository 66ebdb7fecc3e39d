"""Read a roster: a CSV file with a row for each learner or account, a column for each parameter.

Everything that is wrong is found before anything runs, and said with its line and column: a class
should not learn at row 80 that row 81 has a typing error. Cells stay text, so that an account id
keeps its zeros, unless the notebooks' default is a number or a boolean.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..parameters import ParameterError, check, check_names

NAME = "learner"
_MOST_FAULTS = 20
_FOLDER_NAME = re.compile(r"\w[\w .@+-]{0,98}[\w@+-]|\w")  # valid on every system


class RosterError(ValueError):
    """What is wrong with a roster, one line for each fault."""


@dataclass(frozen=True)
class Row:
    """A learner, whose name also names the output folder, and the parameters of that row."""

    learner: str
    parameters: Mapping[str, Any]


def read_roster(path: Path, defaults: Mapping[str, Any], shared: Collection[str] = ()) -> list[Row]:
    """The rows of a CSV file in UTF-8 whose first line names the columns.

    ``defaults`` are the notebooks' parameters, ``shared`` the names of those that are set for all
    rows. Raises RosterError with all faults, of which the first 20 are told, and OSError.
    """
    faults: list[str] = []
    records = _records(path, faults)
    columns = records[0][1] if records else []
    faults += _column_faults(columns, defaults, shared)
    rows, seen = [], dict[str, int]()
    for line, cells in records[1:]:
        faults += (f"line {line}, {fault}" for fault in _row_faults(columns, cells, defaults))
        named = dict(zip(columns, cells, strict=False))
        learner = named.pop(NAME, "")
        if (first := seen.setdefault(learner.casefold(), line)) != line and learner:
            faults.append(f"line {line}: {NAME} {learner!r} is on line {first} already.")
        rows.append(Row(learner, {n: _typed(text, defaults.get(n)) for n, text in named.items()}))
    if not rows and not faults:
        faults.append("there is no row below the line of column names.")
    if faults:
        raise RosterError(_told(path.name, faults))
    return rows


def _records(path: Path, faults: list[str]) -> list[tuple[int, list[str]]]:
    """The records with the line each begins on; blank lines are none."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")  # Excel puts a mark before UTF-8
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RosterError(
            _told(path.name, [f"line {line} is not UTF-8; save it as such."])
        ) from None
    reader, records, line = csv.reader(io.StringIO(text, newline=""), strict=True), [], 1
    try:
        for cells in reader:
            if cells:
                records.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append(f"line {line} is not CSV, so no line from here was read: {error}.")
    return records


def _column_faults(
    columns: Sequence[str], defaults: Mapping[str, Any], shared: Collection[str]
) -> Iterator[str]:
    known = [NAME, *sorted(defaults)]
    if NAME not in columns:
        yield f"line 1: no column is called {NAME}. Columns are separated by commas."
    for number, name in enumerate(columns, 1):
        if not name.strip():
            yield f"line 1, column {number} has no name."
        elif name in columns[: number - 1]:
            yield f"line 1, column {number}: a column before it is called {name!r} too."
        elif name in shared:
            yield f"line 1, column {number}: {name} is given for all rows too, by -p, -r, -f or -y."
        elif sentence := _sentence(check_names, [name], known):
            yield f"line 1, column {number}: {sentence}"


def _row_faults(
    columns: Sequence[str], cells: Sequence[str], defaults: Mapping[str, Any]
) -> Iterator[str]:
    if len(cells) != len(columns):
        yield f"which has {_count(cells)}; the line of column names has {_count(columns)}."
    for number, (name, text) in enumerate(zip(columns, cells, strict=False), 1):
        if sentence := _sentence(_check_cell, name, text, defaults):
            yield f"column {number} ({name}): {sentence}"


def _check_cell(name: str, text: str, defaults: Mapping[str, Any]) -> None:
    if not text.strip():
        raise ParameterError("the cell is empty; give a value, or drop the column.")
    if name == NAME and not _FOLDER_NAME.fullmatch(text):
        raise ParameterError(
            f"{text!r} cannot name a folder; take up to 100 letters, digits, spaces and . @ + - _, "
            "with a letter or digit first."
        )
    if name in defaults:
        check(name, _typed(text, defaults[name]))


def _typed(text: str, default: Any) -> Any:
    """Text, or the type of ``default``. What does not fit stays text, for the rule to refuse."""
    words = {"true": True, "false": False}
    if isinstance(default, bool):
        return words.get(text.lower(), text)
    with suppress(ValueError):
        return int(text) if isinstance(default, int) else text
    return text


def _sentence(checked: Callable[..., object], *arguments: object) -> str:
    """What ``checked`` has to say against its arguments, or an empty text."""
    try:
        checked(*arguments)
    except ParameterError as error:
        return str(error)
    return ""


def _count(cells: Sequence[str]) -> str:
    return f"{len(cells)} cell{'s' * (len(cells) != 1)}"


def _told(name: str, faults: Sequence[str]) -> str:
    more = len(faults) - _MOST_FAULTS
    lines = [f"{name}, {fault}" for fault in faults[:_MOST_FAULTS]]
    return "\n".join([*lines, f"and {more} more."] if more > 0 else lines)
