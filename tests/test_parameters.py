"""Each parameter's rule, the sentence when it is broken, and what papermill makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.parameters import (
    REGIONS,
    RULES,
    ParameterError,
    check,
    check_all,
    check_names,
    injected_names,
    unknown,
)

# The values of the documented procedure, and others that are allowed.
ALLOWED = {
    "mode": ["replay", "live", "record"],
    "region_id": ["cn-hangzhou", "ap-southeast-9", "cn-hangzhou-finance", "cn-newcity"],
    "role_name": ["EcsRamRoleTest", "a", "x" * 64, "Ecs-Ram.Role-1"],
    "policy_name": ["EcsRamRolePolicyTest", "x" * 128],
    "method": ["attach", "create"],
    "instance_id": ["i-bXXXXXXXX", "i-bp67acfmxazb4p****", "i-bp1j4i2jdf3owlhe0000"],
    "v_switch_id": ["vsw-bp1s5fnvk4gn2tws0000"],
    "security_group_id": ["sg-bp1fg655nh68xyz90000"],
    "image_id": ["centos_7_03_64_40G_alibase_20170503.vhd", "m-bp67acfmxazb4p000000"],
    "instance_type": ["ecs.g6.large", "ecs.t6-c1m1.large", "ecs.sn2ne.14xlarge"],
    "bucket_name": ["ramroletest", "a-b", "x" * 63],
    "endpoint": [
        "oss-cn-hangzhou.aliyuncs.com",
        "oss-cn-hangzhou-internal.aliyuncs.com",
        "oss-ap-southeast-1.aliyuncs.com",
    ],
    "max_keys": [1, 10, 1000],
    "clean_up": [True, False],
    "accept_charge": [True, False],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in ALLOWED.items() for v in vs])
def test_an_allowed_value_is_returned(name: str, value: object) -> None:
    assert check(name, value) is value


def test_every_rule_has_allowed_values_here() -> None:
    assert ALLOWED.keys() == RULES.keys()
    check_all({name: values[0] for name, values in ALLOWED.items()})


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_is_allowed_and_has_endpoints(region: str) -> None:
    check("region_id", region)
    check("endpoint", f"oss-{region}.aliyuncs.com")
    check("endpoint", f"oss-{region}-internal.aliyuncs.com")


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("mode", "repaly", "replay"),
        ("mode", "LIVE", "live"),
        ("mode", "offline", None),
        ("mode", True, None),
        ("region_id", "cn-hangzou", "cn-hangzhou"),
        ("region_id", "cn_hangzhou", "cn-hangzhou"),
        ("region_id", "CN-HANGZHOU ", "cn-hangzhou"),
        ("region_id", "cn-hangzhou-i", "cn-hangzhou"),
        ("region_id", "hangzhou", "cn-hangzhou"),
        ("region_id", "", None),
        ("role_name", "Ecs_Role", "Ecs-Role"),
        ("role_name", " Ecs Ram Role ", "Ecs-Ram-Role"),
        ("role_name", "a@b", "a-b"),
        ("role_name", "x" * 65, "x" * 64),
        ("role_name", "", None),
        ("role_name", "角色", None),
        ("policy_name", "Read.Only_1", "Read-Only-1"),
        ("policy_name", "x" * 129, "x" * 128),
        ("method", "atach", "attach"),
        ("instance_id", "bp67acfmxazb4p****", "i-bp67acfmxazb4p****"),
        ("instance_id", "I_bp67acfmxazb4p", "i-bp67acfmxazb4p"),
        ("instance_id", '["i-bXXXXXXXX"]', None),
        ("instance_id", " i-bp67acfmxazb4p ", "i-bp67acfmxazb4p"),
        ("instance_id", "i-1", None),
        ("v_switch_id", "vpc-bp1aevy8sofi8mh1q0000", None),
        ("security_group_id", "bp1fg655nh68xyz90000", "sg-bp1fg655nh68xyz90000"),
        ("image_id", "my image", None),
        ("instance_type", "g6.large", "ecs.g6.large"),
        ("instance_type", "ECS.G6.Large", "ecs.g6.large"),
        ("instance_type", "ecs-g6-large", "ecs.g6.large"),
        ("instance_type", "ecs.g6", None),
        ("bucket_name", "Ram_Role.Test", "ram-role-test"),
        ("bucket_name", "-ramroletest-", "ramroletest"),
        ("bucket_name", "x" * 64, "x" * 63),
        ("bucket_name", "ab", None),
        ("endpoint", "http://oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou.aliyuncs.com"),
        (
            "endpoint",
            "ramroletest.oss-cn-hangzhou-internal.aliyuncs.com",
            "oss-cn-hangzhou-internal.aliyuncs.com",
        ),
        (
            "endpoint",
            "https://oss-cn-hangzhou-internal.aliyuncs.com/ramroletest",
            "oss-cn-hangzhou-internal.aliyuncs.com",
        ),
        ("endpoint", "oss-cn-hangzou.aliyuncs.com", "oss-cn-hangzhou.aliyuncs.com"),
        ("endpoint", "https://oss-cn-hangzhou.aliyuncs.com/", "oss-cn-hangzhou.aliyuncs.com"),
        ("endpoint", "cn-hangzhou", "oss-cn-hangzhou.aliyuncs.com"),
        ("endpoint", "<Your endpoint>", None),
        ("endpoint", "https://example.com", None),
        ("endpoint", 5, None),
        ("max_keys", 0, 1),
        ("max_keys", 1001, 1000),
        ("max_keys", "10", 10),
        ("max_keys", True, None),
        ("max_keys", 1.5, None),
        ("clean_up", "true", True),
        ("clean_up", "No", False),
        ("clean_up", "maybe", None),
        ("accept_charge", 1, True),
    ],
)
def test_a_sentence_names_parameter_value_rule_and_the_nearest_that_is_allowed(
    name: str, value: object, nearest: object
) -> None:
    with pytest.raises(ParameterError) as error:
        check(name, value)
    sentence = str(error.value)
    assert sentence.startswith(f"{name} is {value!r}"[:80])
    assert f", but must be {RULES[name].allowed}" in sentence
    assert "\n" not in sentence
    if nearest is None:
        assert "did you mean" not in sentence
    else:
        assert sentence.endswith(f"; did you mean {nearest!r}?")
        check(name, nearest)


@pytest.mark.parametrize("value", [7, 1e5, True, None])
def test_what_papermill_makes_of_a_text_is_explained(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"-r keeps the text: -r role_name TEXT\.$"):
        check("role_name", value)


@pytest.mark.parametrize("value", [["x"], {"secret": "canary"}, b"x"])
def test_no_option_of_papermill_is_named_for_what_it_cannot_make(value: Any) -> None:
    with pytest.raises(ParameterError) as error:
        check("role_name", value)
    assert "-r" not in str(error.value)
    assert "canary" not in str(error.value)


def test_a_scheme_is_refused_with_the_reason() -> None:
    with pytest.raises(ParameterError, match="the notebook writes https:// before it"):
        check("endpoint", "http://oss-cn-hangzhou.aliyuncs.com")


def test_a_secret_in_a_value_is_not_repeated() -> None:
    with pytest.raises(ParameterError) as error:
        check("role_name", "LTAI5tCanaryCanary1_x")
    assert "CanaryCanary" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["access_key_id", "access_key_secret", "security_token", "Password", "accesskey", "secret"],
)
def test_a_secret_is_no_parameter(name: str) -> None:
    for refuse in (lambda: check(name, "canary"), lambda: check_names([name], [name])):
        with pytest.raises(ParameterError, match="ALIBABA_CLOUD_ACCESS_KEY_SECRET") as error:
            refuse()
        assert "canary" not in str(error.value)


def test_an_unknown_name_is_named_with_the_nearest_known_one() -> None:
    known = ["mode", "role_name"]
    assert unknown(["mode"], known) == ""
    assert unknown(["role_nmae", "xyz"], known) == (
        "There is no parameter role_nmae (did you mean role_name?) and no xyz; there are mode, "
        "role_name."
    )
    check_names(["role_name"], known)
    with pytest.raises(ParameterError, match="no parameter role_nmae"):
        check_names(["role_nmae"], known)
    with pytest.raises(ParameterError, match="no parameter rolename"):
        check("rolename", "x")


def test_names_are_injected_only_by_papermills_cell() -> None:
    cells = [
        "",
        "mode = 'replay'",
        "# Parameters\nmode = 'live'\nx: int = 1\n",
        "a = 2",
        "# Parameters",
    ]
    assert injected_names({"In": cells}) == {"mode", "x"}
    assert injected_names({"In": ["# Parameters\nx = ("]}) == set()
    assert injected_names({}) == set()


CELLS = [
    'mode: str = "replay"  # where requests go\nrole_name: str = "EcsRamRoleTest"',
    "from helpers.parameters import check_all, check_names, injected_names\n"
    "given = dict(mode=mode, role_name=role_name)\n"
    "check_names(injected_names(globals()), given)\n"
    "check_all(given)",
    "print('went on as', role_name)",
]


# The command, less the second that importing nbformat takes where rfc3987_syntax is installed.
PAPERMILL = (
    "import sys; sys.modules['rfc3987_syntax'] = None; "
    "from papermill.cli import papermill; sys.exit(papermill())"
)


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "source": source,
            "metadata": {"tags": [] if number else ["parameters"]},
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "nbformat": 4, "nbformat_minor": 5}
    path = tmp_path / "in.ipynb"
    path.write_text(json.dumps(content | {"metadata": {"kernelspec": kernel}}))
    return path


def papermill(notebook: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    """The plain command: its exit code, what it printed, and the notebook that it wrote."""
    out = notebook.with_name("out.ipynb")
    run = subprocess.run(
        [sys.executable, "-c", PAPERMILL, notebook, out, "--no-progress-bar", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr, json.loads(out.read_text())


def test_papermill_runs_with_right_parameters(notebook: Path) -> None:
    code, said, written = papermill(notebook, "-p", "role_name", "Ecs-2")
    assert code == 0, said
    assert written["cells"][-1]["outputs"][0]["text"] == ["went on as Ecs-2\n"]


def test_papermill_stops_at_a_misspelt_name_with_one_sentence(notebook: Path) -> None:
    code, said, written = papermill(notebook, "-p", "role_nmae", "x")
    last = said.strip().splitlines()[-1]
    assert code == 1
    assert last.startswith("ParameterError: There is no parameter role_nmae (did you mean role_na")
    outputs = [output for cell in written["cells"] for output in cell.get("outputs", [])]
    (error,) = outputs
    assert (error["ename"], error["traceback"]) == ("ParameterError", [last])
    assert f"ParameterError: {error['evalue']}" == last
