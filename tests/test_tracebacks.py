"""What a cell raises and nobody catches reaches neither the notebook nor the reply unmasked."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CANARY = "canaryCanaryCanaryCanary0123456789"
CONNECT = "import helpers\ncloud = helpers.connect(step=1)"
RAISES = f"""\
from aliyunsdkcore.acs_exception.exceptions import ClientException
url = "https://ram.aliyuncs.com/?Action=GetRole&" + "Signature=" + {CANARY[:20]!r} + {CANARY[20:]!r}
try:
    raise OSError("cannot reach " + url)
except OSError as error:
    raise ClientException("SDK.HttpError", str(error))"""


def notebook(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in sources])


def outputs(*sources: str, folder: Path) -> str:
    ran = notebook(*sources)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(ran, allow_errors=True, kernel_name="python3", resources=resources).execute()
    return json.dumps([cell.outputs for cell in ran.cells])


def test_an_uncaught_exception_is_masked(tmp_path: Path) -> None:
    shown = outputs(CONNECT, RAISES, folder=tmp_path)
    assert CANARY not in shown
    assert "ClientException" in shown and "SDK.HttpError" in shown and "Signature=****" in shown


def test_the_kernels_reply_is_masked(tmp_path: Path) -> None:
    resources = {"metadata": {"path": str(tmp_path)}}
    ran = notebook(CONNECT, RAISES)
    with pytest.raises(CellExecutionError) as error:
        NotebookClient(ran, kernel_name="python3", resources=resources).execute()
    assert CANARY not in str(error.value)
    assert error.value.ename == "ClientException"


def test_close_undoes_it_and_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    plain = "raise KeyError('a name')"
    assert '"evalue": "\'a name\'"' in outputs(CONNECT, plain, folder=tmp_path)
    assert CANARY in outputs(CONNECT, "cloud.close()", RAISES, folder=tmp_path)
