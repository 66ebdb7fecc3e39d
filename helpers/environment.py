"""What a run finds around it: whether this Python can run the notebooks, and keys that would win.

Of installed packages only the metadata is read; nothing is imported for it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version

from .parameters import OneSentence

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
# What the cells import, with the versions of pyproject.toml.
NEEDED = {
    "aliyun-python-sdk-core": "2.16.1",
    "aliyun-python-sdk-ecs": "4.24.83",
    "aliyun-python-sdk-ram": "3.3.1",
    "oss2": "2.19",
    "requests": "2.32",
}
# The package for Python 3 of old: it installs over the files of aliyun-python-sdk-core.
# https://github.com/aliyun/aliyun-openapi-python-sdk/issues/520
OVERWRITES = "aliyun-python-sdk-core-v3"
# The SDK lets these win over the credential that a client is given:
# https://github.com/aliyun/aliyun-openapi-python-sdk/blob/master/aliyun-python-sdk-core/aliyunsdkcore/auth/signers/signer_factory.py
_WIN_OVER_CREDENTIALS = ("ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET")


class UnsuitableEnvironment(OneSentence, RuntimeError):
    """This Python cannot run the notebooks; the sentence gives the command that helps."""


def check_environment(python: tuple[int, ...] = sys.version_info[:2]) -> None:
    """Raise UnsuitableEnvironment with one sentence if Python or a package does not fit."""
    if not OLDEST_PYTHON <= python[:2] <= NEWEST_PYTHON:
        raise UnsuitableEnvironment(
            f"This is Python {_dotted(python)}, but the notebooks run on {_dotted(OLDEST_PYTHON)} "
            f"to {_dotted(NEWEST_PYTHON)}: make a virtual environment with one of these."
        )
    if _installed(OVERWRITES):
        raise UnsuitableEnvironment(
            f"{OVERWRITES} overwrites files of aliyun-python-sdk-core: run `python -m pip "
            f"uninstall -y {OVERWRITES}`, then `python -m pip install --force-reinstall --no-deps "
            "aliyun-python-sdk-core`, and restart the kernel."
        )
    if unfit := list(_unfit()):
        names = " ".join(f'"{name}>={NEEDED[name]}"' for name in unfit)
        found = ", ".join(f"{name} ({_installed(name) or 'not installed'})" for name in unfit)
        raise UnsuitableEnvironment(
            f"Missing or too old: {found}; run `python -m pip install {names}` and restart the "
            "kernel."
        )


def set_aside_keys(undo: ExitStack) -> None:
    """Take away the keys that would win over a client's own, until ``undo`` is closed."""
    found = {name: os.environ.pop(name) for name in _WIN_OVER_CREDENTIALS if name in os.environ}
    undo.callback(os.environ.update, found)


def _unfit() -> Iterator[str]:
    for name, needed in NEEDED.items():
        if _numbers(_installed(name)) < _numbers(needed):
            yield name


def _installed(name: str) -> str:
    """The version, or an empty text."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _numbers(version: str) -> list[int]:
    """The release's numbers: enough to compare with the plain versions in NEEDED."""
    return [int(number) for number in re.findall(r"\d+", version)]


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers[:2]))
