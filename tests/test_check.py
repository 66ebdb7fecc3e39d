"""The exercises and their checks: every outcome of each, and what else a learner may do."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import oss2
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from helpers import check
from helpers.check import Check, Outcome
from helpers.exercises import EXERCISES, Exercise, filled

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
EACH = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)

BUCKET = "acs:oss:*:*:examplebucket"
USER = '"RAM": ["acs:ram::1234567890123456:root"]'
TO_ECS = '{"StringEquals": {"acs:Service": "ecs.aliyuncs.com"}}'
ATTACH, ROLE = '"ecs:AttachInstanceRamRole"', '"acs:ram:*:*:role/WebServerRole"'
TTL, TOKEN = "X-aliyun-ecs-metadata-token-ttl-seconds", "X-aliyun-ecs-metadata-token"

# What fills the blanks, and the misconception that it shows.
WRONG = [
    ("trust_policy", [f"{{{USER}}}"], "a user"),
    ("trust_policy", ['{"Service": "oss.aliyuncs.com"}'], "another service"),
    ("trust_policy", ['{"Service": ["ecs.aliyuncs.com", "fc.aliyuncs.com"]}'], "others too"),
    ("trust_policy", [f'{{"Service": "ecs.aliyuncs.com", {USER}}}'], "others too"),
    ("one_bucket", [f'"{BUCKET}/*"'], "no listing"),
    ("one_bucket", [f'"{BUCKET}"'], "no objects"),
    ("one_bucket", [f'"{BUCKET}*"'], "similar names"),
    ("one_bucket", ['"*"'], "all buckets"),
    ("one_bucket", [f'["{BUCKET}", "{BUCKET}/*"]}}, {{**PUT'], "writing"),
    ("closed_folder", ['"Allow"', '"oss:Get*"', f'"{BUCKET}/photos/*"'], "still open"),
    ("closed_folder", ['"Deny"', '"oss:*"', f'"{BUCKET}/private"'], "still open"),
    ("closed_folder", ['"Deny"', '"oss:Put*"', '"*"'], "still open"),
    ("closed_folder", ['"Deny"', '"oss:List*"', f'"{BUCKET}/private/*"'], "another action"),
    ("closed_folder", ['"Deny"', '"oss:Get*"', f'"{BUCKET}/*"'], "other objects"),
    ("closed_folder", ['"Deny"', '"oss:*"', f'["{BUCKET}", "{BUCKET}/private/*"]'], "no listing"),
    ("instance_ids", ["instance_ids"], "a list"),
    ("instance_ids", ["str(instance_ids)"], "not JSON"),
    ("instance_ids", ["','.join(instance_ids)"], "not JSON"),
    ("instance_ids", ["json.dumps(instance_ids[:1])"], "other ids"),
    ("instance_ids", ["json.dumps(instance_ids[0])"], "other ids"),
    ("attach_one_role", ['"ecs:AttachRole"', ROLE, TO_ECS], "cannot attach"),
    ("attach_one_role", [ATTACH, '"acs:ecs:*:*:instance/*"', TO_ECS], "cannot pass"),
    ("attach_one_role", [ATTACH, ROLE, TO_ECS.replace(":S", ":s")], "cannot pass"),
    ("attach_one_role", [ATTACH, '"*"', TO_ECS], "any role"),
    ("attach_one_role", [ATTACH, ROLE, "{}"], "any service"),
    ("attach_one_role", ['"ecs:*"', ROLE, TO_ECS], "more operations"),
    ("refused_attachment", ['"sts:AssumeRole"', '"*"'], "assuming"),
    ("refused_attachment", ['"ram:AttachPolicyToRole"', '"*"'], "attaching a policy"),
    ("refused_attachment", ['"ecs:PassRole"', '"*"'], "still refused"),
    ("refused_attachment", ['"ram:*"', '"*"'], "everything"),
    ("metadata_headers", [TOKEN, "21600", TTL], "swapped"),
    ("metadata_headers", [TTL, "21600", "Authorization"], "another name"),
    ("metadata_headers", ["X-ttl", "21600", TOKEN], "another name"),
    ("metadata_headers", [TTL, "21700", TOKEN], "too long"),
    ("metadata_headers", [TTL, "6 h", TOKEN], "too long"),
    ("metadata_headers", [TTL, "360", TOKEN], "shorter"),
    ("must_fetch", ["expiration - now >= timedelta(minutes=30)"], "the wrong way round"),
    ("must_fetch", ["expiration - now <= timedelta(hours=1)"], "too early"),
    ("must_fetch", ["True"], "too early"),
    ("must_fetch", ["now >= expiration"], "too late"),
    ("must_fetch", ["False"], "too late"),
    ("must_fetch", ["timedelta(0) < expiration - now < timedelta(minutes=30)"], "expired"),
    ("provider", ["False"], "never"),
    ("provider", ['"Expiration" not in self.document'], "never"),
    ("provider", ["must_fetch(self.document, self.now() - timedelta(minutes=30))"], "too late"),
    ("provider", ["True"], "each time"),
    ("provider", ["must_fetch(self.document, self.now() + timedelta(hours=1))"], "too early"),
    ("endpoint", ["'oss-cn-hangzhou-internal.aliyuncs.com'"] * 2, "no https"),
    ("endpoint", ["f'http://oss-{bucket_region}.aliyuncs.com'"] * 2, "no https"),
    ("endpoint", ["f'https://oss-{instance_region}.aliyuncs.com'"] * 2, "the instance's region"),
    ("endpoint", ["f'https://oss-{bucket_region}.aliyuncs.com'"] * 2, "public"),
    (
        "endpoint",
        ["f'https://oss-{bucket_region}-internal.aliyuncs.com'"] * 2,
        "internal elsewhere",
    ),
    ("endpoint", ["f'https://photos.oss-{bucket_region}.aliyuncs.com'"] * 2, "another name"),
    ("keys_below", ["bucket.list_objects(prefix=prefix).object_list"], "one page"),
    ("keys_below", ["oss2.ObjectIterator(bucket)"], "everything"),
    (
        "keys_below",
        ["oss2.ObjectIterator(bucket) if found.key.startswith(prefix)"],
        "filtered here",
    ),
    ("keys_below", ["[]"], "other keys"),
    ("causes", ["wrong secret", "no permission", "wrong endpoint"], "A"),
    ("causes", ["token missing", "wrong endpoint", "no permission"], "B"),
    ("causes", ["token missing", "no permission", "no permission"], "C"),
    ("causes", ["token missing", "the bucket's ACL", "wrong endpoint"], "no such cause"),
]

# Other answers than the solution that are right as well.
RIGHT = [
    ("trust_policy", ['{"Service": "ecs.aliyuncs.com"}']),
    ("closed_folder", ['"Deny"', '"*"', f'["{BUCKET}/private/*"]']),
    ("instance_ids", ["'[' + ', '.join(f'\"{one}\"' for one in instance_ids) + ']'"]),
    ("refused_attachment", ['["ram:PassRole"]', '"*"']),
    ("metadata_headers", [TTL.upper(), "21600", TOKEN.lower()]),
    ("must_fetch", ["expiration - now < timedelta(minutes=20)"]),
    (
        "keys_below",
        ["oss2.ObjectIterator(bucket, prefix, max_keys=7) if not found.is_prefix()"],
    ),
]

# What the code raises becomes a sentence. The solution's blanks, but for the last one.
BROKEN = [
    ("trust_policy", ['"ecs.aliyuncs.com"'], "PolicyError: Statement 1"),
    ("one_bucket", ["[]"], "PolicyError: Statement 1"),
    ("instance_ids", ["instance_ids.text"], "AttributeError: "),
    ("must_fetch", ["expiration - datetime.utcnow() < 1"], "TypeError: "),
    ("provider", ["self.expired"], "AttributeError: "),
    ("keys_below", ["bucket.list_buckets()"], "AttributeError: "),
    ("keys_below", ["iter(lambda: bucket.list_objects().object_list[0], 0)"], "RuntimeError: "),
]


def run(code: str) -> Outcome:
    """What the check at the end of ``code`` says, after the notebook's imports."""
    names: dict[str, Any] = {
        "check": check,
        "json": json,
        "oss2": oss2,
        "datetime": datetime,
        "timedelta": timedelta,
    }
    names["PUT"] = {"Effect": "Allow", "Action": "oss:Put*", "Resource": "*"}
    exec(BY_NAME["must_fetch"].solution.rpartition("\n")[0], names)
    *statements, last = ast.parse(re.sub(r"check\.(\w+)\(", r"check.\1.judge(", code)).body
    exec(compile(ast.Module(statements, []), "cell", "exec"), names)
    assert isinstance(last, ast.Expr)
    outcome = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    assert isinstance(outcome, Outcome)
    return outcome


def answer(name: str, answers: list[str]) -> Outcome:
    return run(filled(BY_NAME[name].starter, answers))


@pytest.fixture(scope="module", autouse=True)
def shell() -> Iterator[None]:
    """What shows itself needs an IPython to show it in; this one keeps no history."""
    InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield
    InteractiveShell.clear_instance()


def shown(show: Callable[..., None], *arguments: Any) -> list[dict[str, str]]:
    """What a call puts below its cell. It returns nothing, so a cell does not show it twice."""
    with capture_output() as captured:
        assert show(*arguments) is None  # type: ignore[func-returns-value]
    return [output.data for output in captured.outputs]


@EACH
def test_the_starter_is_not_attempted_and_the_solution_is_correct(exercise: Exercise) -> None:
    assert run(exercise.starter).state == "Not attempted"
    assert run(exercise.solution).state == "Correct"
    assert exercise.lesson in repr(run(exercise.solution))


@EACH
def test_each_cell_shows_what_it_says_once(exercise: Exercise) -> None:
    names = {"check": check}
    [bundle] = shown(lambda: exec(exercise.starter, names))
    assert bundle["text/plain"].startswith("Not attempted. ")
    assert "<strong>Not attempted.</strong>" in bundle["text/html"]


@EACH
def test_one_blank_left_is_not_attempted(exercise: Exercise) -> None:
    for place in range(len(exercise.answers)):
        answers = list(exercise.answers)
        answers[place] = "____" if '"____"' in exercise.starter else "..."
        assert answer(exercise.name, answers).state == "Not attempted"


@pytest.mark.parametrize(("name", "answers", "misconception"), WRONG)
def test_a_wrong_answer_names_its_misconception(
    name: str, answers: list[str], misconception: str
) -> None:
    outcome = answer(name, answers)
    assert (outcome.state, outcome.misconception) == ("Not yet", misconception)
    assert BY_NAME[name].misconceptions[misconception] in repr(outcome)


def test_each_misconception_is_met_by_an_answer() -> None:
    met = {(name, misconception) for name, _, misconception in WRONG}
    met.add(("metadata_headers", "a number"))  # below: a blank in quotes cannot hold a number
    listed = {(each.name, name) for each in EXERCISES for name in each.misconceptions}
    assert met == listed


def test_a_header_that_is_a_number_is_named() -> None:
    outcome = check.metadata_headers.judge({TTL: 21600}, {TOKEN: "the token"})
    assert outcome.misconception == "a number"


@pytest.mark.parametrize(("name", "answers"), RIGHT)
def test_another_right_answer_is_correct(name: str, answers: list[str]) -> None:
    assert answer(name, answers).state == "Correct"


@pytest.mark.parametrize(("name", "answers", "sentence"), BROKEN)
def test_what_the_code_raises_is_not_yet(name: str, answers: list[str], sentence: str) -> None:
    outcome = answer(name, answers)
    assert (outcome.state, outcome.misconception) == ("Not yet", "")
    assert sentence in repr(outcome)
    assert "Traceback" not in repr(outcome)


def test_too_few_and_endless_answers_are_not_yet() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "missing a required argument: 'document'" in repr(check.trust_policy.judge())
    assert check.one_bucket.judge(endless).state == "Not yet"


@EACH
def test_hints_go_further_and_end(exercise: Exercise) -> None:
    fresh = Check(exercise)
    count = len(exercise.hints)
    hints = [shown(fresh.hint)[0]["text/plain"] for _ in range(count + 1)]
    for number, (hint, text) in enumerate(zip(exercise.hints, hints, strict=False), 1):
        assert text.startswith(f"Hint {number} of {count}. {hint}")
    assert ["last hint" in text for text in hints] == [False] * (count - 1) + [True, True]


@EACH
def test_the_solution_is_closed_until_it_is_opened(exercise: Exercise) -> None:
    [bundle] = shown(Check(exercise).solution)
    details = ElementTree.fromstring(bundle["text/html"])
    assert details.tag == "details" and "open" not in details.attrib
    assert details.findtext("pre/code") == exercise.solution
    assert exercise.solution in bundle["text/plain"]


@pytest.mark.parametrize("notebook", ["01", "02", "03", "04"])
def test_each_notebook_has_exercises_that_fade(notebook: str) -> None:
    levels = [each.level for each in EXERCISES if each.notebook == notebook]
    order = ["complete a line", "change a policy", "diagnose a failure"]
    assert len(levels) >= 3
    assert levels == sorted(levels, key=order.index)
    assert levels[-1] == "diagnose a failure"


def test_what_a_learner_puts_in_is_escaped_and_masked() -> None:
    def function(instance_ids: list[str]) -> str:
        raise ValueError("<script> AccessKeySecret=canary-secret")

    outcome = check.instance_ids.judge(function)
    assert "<script>" not in outcome.html
    assert "&lt;script&gt;" in outcome.html
    assert "canary-secret" not in outcome.html + repr(outcome)


def test_an_exercise_that_does_not_exist_is_named() -> None:
    with pytest.raises(AttributeError, match="no exercise trust_polcy; there are: trust_policy, "):
        _ = check.trust_polcy
    assert set(dir(check)) == set(BY_NAME)


def test_checks_bring_no_client_with_them() -> None:
    """So they are quick to import, and can send nothing."""
    code = "import sys, helpers.check; print({'requests', 'oss2', 'IPython'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
