"""Self-checks of the exercises: ``check.NAME(answer)``, ``check.NAME.hint()``, ``.solution()``.

The exercises themselves are in ``helpers/exercises.py``; here is what happens to an answer. It is
used, never compared as text: a policy is evaluated, a function is called. There are three outcomes:
correct, not yet (with the misconception behind it), and not attempted, which is an answer that
still holds a blank, ``...`` or ``____``. Whatever a learner's code raises is "not yet" as well.
Each of the three shows what it has to say and returns nothing, so a cell may hold several.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from html import escape
from types import CodeType
from typing import Any

from .display import Shown
from .exercises import BLANKS, EXERCISES, Exercise
from .masking import mask_text

# Of the bar beside the words; the words keep the theme's own colours, to be read in each of them.
_COLOURS = {"Correct": "#1a7f37", "Not yet": "#bf8700"}


class Outcome(Shown):
    """``state`` in a few words, and the sentence that goes with it."""

    def __init__(self, state: str, sentence: str, misconception: str = "") -> None:
        self.state = state
        self.misconception = misconception
        style = f"border-left:6px solid {_COLOURS.get(state, '#0969da')};padding:4px 12px"
        super().__init__(
            f'<p style="{style}"><strong>{state}.</strong> {escape(sentence)}</p>',
            f"{state}. {sentence}",
        )


class Check:
    """The check of one exercise. It counts how many hints were given."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise
        self._given = 0

    def __call__(self, *answer: Any) -> None:
        """Show whether ``answer`` is right."""
        self.judge(*answer).show()

    def judge(self, *answer: Any) -> Outcome:
        """Whether ``answer`` is right. Never raises."""
        try:
            if any(map(_has_blank, answer)):
                return Outcome("Not attempted", f"Replace {BLANKS} by your answer and run again.")
            inspect.signature(self.exercise.verdict).bind(*answer)
            misconception = self.exercise.verdict(*answer)
        except Exception as error:
            return Outcome("Not yet", mask_text(f"{type(error).__name__}: {error}"))
        if misconception:
            sentence = self.exercise.misconceptions[misconception]
            return Outcome("Not yet", sentence, misconception)
        return Outcome("Correct", self.exercise.lesson)

    def hint(self) -> None:
        """Show the next hint; the last one says that it is, and stays."""
        hints = self.exercise.hints
        self._given = min(self._given + 1, len(hints))
        last = f" (The last hint: check.{self.exercise.name}.solution() shows the answer.)"
        sentence = hints[self._given - 1] + (last if self._given == len(hints) else "")
        Outcome(f"Hint {self._given} of {len(hints)}", sentence).show()

    def solution(self) -> None:
        """Show a solution, closed until it is opened."""
        code = self.exercise.solution
        Shown(
            f"<details><summary>Solution: {escape(self.exercise.title)}</summary>"
            f"<pre><code>{escape(code)}</code></pre></details>",
            f"Solution: {self.exercise.title}\n\n{code}",
        ).show()


def _has_blank(answer: Any) -> bool:
    """Whether a blank is left in a value, however deep, or in the code of a function or class."""
    if isinstance(answer, str):
        return "____" in answer
    if isinstance(answer, Mapping):
        return any(map(_has_blank, [*answer, *answer.values()]))
    if isinstance(answer, (list, tuple, set, frozenset)):
        return any(map(_has_blank, answer))
    if isinstance(answer, type):
        return any(map(_has_blank, vars(answer).values()))
    code = answer if isinstance(answer, CodeType) else getattr(answer, "__code__", None)
    return answer is ... or (code is not None and any(map(_has_blank, code.co_consts)))


_CHECKS = {exercise.name: Check(exercise) for exercise in EXERCISES}


def __getattr__(name: str) -> Check:
    if name in _CHECKS:
        return _CHECKS[name]
    raise AttributeError(f"There is no exercise {name}; there are: {', '.join(_CHECKS)}.")


def __dir__() -> list[str]:
    return list(_CHECKS)
