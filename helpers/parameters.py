"""The rules for every notebook parameter, and one sentence for each way to be wrong.

A sentence names the parameter, its value, what is allowed and, where there is one, the nearest
value that is. Papermill injects a cell with the names it was given and only warns of one that the
notebook does not have; ``injected_names`` reads them from the kernel's history.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from .masking import mask_text

# https://help.aliyun.com/en/auto-scaling/developer-reference/api-ess-2014-08-28-endpoint
REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ap-southeast-8",
    "cn-beijing", "cn-chengdu", "cn-fuzhou", "cn-guangzhou", "cn-hangzhou", "cn-heyuan",
    "cn-hongkong", "cn-huhehaote", "cn-nanjing", "cn-qingdao", "cn-shanghai", "cn-shenzhen",
    "cn-wuhan-lr", "cn-wulanchabu", "cn-zhangjiakou", "cn-zhengzhou-jva", "eu-central-1",
    "eu-west-1", "me-central-1", "me-east-1", "na-south-1", "us-east-1", "us-southeast-1",
    "us-west-1",
)  # fmt: skip
_SECRET = re.compile("access_?key|secret|token|password", re.IGNORECASE)
_INJECTED = "# Parameters\n"  # papermill's first line: papermill/translators.py, codify


class OneSentence(Exception):
    """An error for the reader of a notebook: shown as its sentence, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """IPython asks for this; papermill and nbclient repeat it."""
        return [f"{type(self).__name__}: {self}"]


class ParameterError(OneSentence, ValueError):
    """A parameter is not allowed; the sentence says what is."""


class Rule(NamedTuple):
    """What a parameter may be: in words, as a check, and as ways to repair what is wrong."""

    allowed: str
    accepts: Callable[[Any], bool]
    repairs: Callable[[Any], Iterable[Any]]

    def check(self, name: str, value: Any) -> Any:
        """``value``, if it is allowed; else raises ParameterError."""
        if self.accepts(value):
            return value
        repaired = next(filter(self.accepts, self.repairs(value)), None)
        hint = "." if repaired is None else f"; did you mean {mask_text(repr(repaired))}?"
        if isinstance(repaired, str) and isinstance(value, int | float | None):
            hint = f"; papermill's -p makes this of a text, -r keeps the text: -r {name} TEXT."
        shown = mask_text(repr(value))
        raise ParameterError(f"{name} is {shown:.80}, but must be {self.allowed}{hint}")


def one_of(*options: str) -> Rule:
    """One of a few words."""
    *others, last = map(repr, options)
    return Rule(
        f"{', '.join(others)} or {last}",
        lambda value: value in options,
        lambda value: difflib.get_close_matches(str(value).lower(), options, 1),
    )


def text(pattern: str, allowed: str, *repairs: Callable[[str], str]) -> Rule:
    """Text that fits ``pattern``; each repair makes another text of one that does not."""
    return Rule(
        allowed,
        lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None,
        # Of a dictionary or a list, the text may be a secret without its name.
        lambda value: (
            repair(str(value))
            for repair in (str.strip, *repairs)
            if isinstance(value, str | int | float | None)
        ),
    )


def _is_region(value: Any) -> bool:
    """A region that is not in the list may be a new one, unless it looks like a misspelt one."""
    if not isinstance(value, str) or not re.fullmatch("[a-z]{2}(-[a-z0-9]+)+", value):
        return False
    known = value in REGIONS or re.sub(r"-\d+$", "-1", value) in REGIONS
    return known or not difflib.get_close_matches(value, REGIONS, n=1, cutoff=0.8)


def _nearest_region(value: Any) -> list[str]:
    return difflib.get_close_matches(str(value).strip().lower().replace("_", "-"), REGIONS, 1)


def _is_endpoint(value: Any) -> bool:
    match = _ENDPOINT.fullmatch(value) if isinstance(value, str) else None
    return match is not None and _is_region(match["region"])


def _repair_endpoint(value: Any) -> Iterator[str]:
    """Take the scheme, the bucket and the path away, or make an endpoint of a region."""
    host = str(value).strip().lower().rpartition("://")[2].partition("/")[0]
    name = host.removesuffix(".aliyuncs.com").rpartition(".")[2].removeprefix("oss-")
    region, internal, _ = name.partition("-internal")
    for candidate in (region, *_nearest_region(region)):
        yield f"oss-{candidate}{internal}.aliyuncs.com"


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 1000


def _repair_count(value: Any) -> Iterator[int]:
    with suppress(ValueError):
        yield min(max(int(str(value)), 1), 1000)


def _repair_flag(value: Any) -> Iterator[bool]:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    with suppress(KeyError):
        yield words[str(value).strip().lower()]


def _identifier(prefix: str, what: str) -> Rule:
    """An id as ECS and VPC give them: the prefix, then at least 8 letters or digits."""
    return text(
        rf"{prefix}-[A-Za-z0-9*]{{8,}}",
        f"the id of {what}: {prefix}- and at least 8 letters or digits",
        lambda value: re.sub(rf"^({prefix})?\W?_?", f"{prefix}-", value, flags=re.IGNORECASE),
    )


def _hyphenated(allowed: str, longest: int) -> Callable[[str], str]:
    """A repair: a hyphen for every run of characters that are not allowed."""
    return lambda value: re.sub(f"[^{allowed}]+", "-", value).strip("-")[:longest]


_ENDPOINT = re.compile(r"oss-(?P<region>[\w-]+?)(?:-internal)?\.aliyuncs\.com")
_FLAG = Rule("True or False", lambda value: isinstance(value, bool), _repair_flag)

RULES: Mapping[str, Rule] = {
    "mode": one_of("replay", "live", "record"),
    "region_id": Rule("a region's id, such as 'cn-hangzhou'", _is_region, _nearest_region),
    # https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-createrole
    "role_name": text(
        "[A-Za-z0-9.-]{1,64}",
        "1 to 64 letters, digits, full stops and hyphens, without an underscore",
        _hyphenated("A-Za-z0-9.", 64),
    ),
    # https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-createpolicy
    "policy_name": text(
        "[A-Za-z0-9-]{1,128}",
        "1 to 128 letters, digits and hyphens",
        _hyphenated("A-Za-z0-9", 128),
    ),
    "method": one_of("attach", "create", "both"),
    "instance_id": _identifier("i", "an instance"),
    "v_switch_id": _identifier("vsw", "a vSwitch"),
    "security_group_id": _identifier("sg", "a security group"),
    "image_id": text(
        "[A-Za-z0-9._-]{4,}",
        "the id of an image: letters, digits, full stops, hyphens and underscores",
    ),
    "instance_type": text(
        r"ecs\.[a-z0-9-]+\.[a-z0-9-]+",
        "an instance type: ecs.<family>.<size>, such as 'ecs.g6.large'",
        lambda value: "ecs." + value.lower().removeprefix("ecs.").removeprefix("ecs-"),
        lambda value: value.lower().replace("-", "."),
    ),
    # https://github.com/aliyun/aliyun-oss-python-sdk/blob/master/oss2/utils.py
    "bucket_name": text(
        "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "3 to 63 lower-case letters, digits and hyphens, without a hyphen at either end",
        lambda value: _hyphenated("a-z0-9", 63)(value.lower()),
    ),
    "endpoint": Rule(
        "oss-<region>.aliyuncs.com or oss-<region>-internal.aliyuncs.com with nothing around it, "
        "since the notebook writes https:// before it",
        _is_endpoint,
        _repair_endpoint,
    ),
    "max_keys": Rule("a whole number from 1 to 1000", _is_count, _repair_count),
    "clean_up": _FLAG,
    "accept_charge": _FLAG,
}


def check(name: str, value: Any) -> Any:
    """``value``, if it is allowed for the parameter ``name``; else raises ParameterError."""
    check_names([name], RULES)
    return RULES[name].check(name, value)


def check_all(parameters: Mapping[str, Any]) -> None:
    """Raise ParameterError for the first of ``parameters`` that is wrong."""
    for name, value in parameters.items():
        check(name, value)


def check_names(names: Iterable[str], known: Collection[str]) -> None:
    """Raise ParameterError if one of ``names`` is not ``known``, or if it could hold a secret."""
    names = sorted(names)
    if secret := next(filter(_SECRET.search, names), None):
        raise ParameterError(
            f"{secret} is no parameter, since papermill saves parameters in the notebook; set the "
            "environment variables ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET "
            "and, for an STS credential, ALIBABA_CLOUD_SECURITY_TOKEN."
        )
    if sentence := unknown(names, known):
        raise ParameterError(sentence)


def unknown(names: Iterable[str], known: Collection[str]) -> str:
    """A sentence on those of ``names`` that are not ``known``, or an empty text."""
    wrong = [name for name in names if name not in known]
    if not wrong:
        return ""
    nearest = (difflib.get_close_matches(name, known, 1) for name in wrong)
    hints = (f" (did you mean {near[0]}?)" if near else "" for near in nearest)
    described = " and no ".join(map("".join, zip(wrong, hints, strict=True)))
    return f"There is no parameter {described}; there are {', '.join(known)}."


def injected_names(user_namespace: Mapping[str, Any]) -> set[str]:
    """The names that papermill assigned in this kernel, from its history (``In``)."""
    cells = (cell for cell in user_namespace.get("In", ()) if cell.startswith(_INJECTED))
    return {name for cell in cells for name in _assigned(cell)}


def _assigned(cell: str) -> Iterator[str]:
    with suppress(SyntaxError):
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
