"""Importing this module imports what every kernel of a run needs; they are forked afterwards."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

sys.modules.setdefault("debugpy", None)  # type: ignore[arg-type]  # 50 ms; no one debugs a run
for _name in (
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "tornado.platform.asyncio",
    "IPython.core.completerlib",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "aliyunsdkcore.client",
    "aliyunsdkecs.request",
    "aliyunsdkram.request",
    "requests",
    "oss2",
    "time_machine",
    "helpers.exercises",
    "helpers.sandbox.sandbox",
    "helpers.sandbox.scenario",
):
    import_module(_name)
gc.freeze()  # or each kernel's first collection would copy the memory that they share
