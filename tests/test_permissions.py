"""The policy for live runs: as README shows it, enough, and no more."""

from __future__ import annotations

import re
from pathlib import Path

import click.testing
import pytest

from helpers.__main__ import main
from helpers.live.permissions import accesses, as_text, minimal_policy
from helpers.policy import decide, parse

README = Path(__file__).parent.parent / "README.md"
TO_ECS = {"acs:Service": "ecs.aliyuncs.com"}


@pytest.fixture(scope="module")
def policy() -> str:
    return as_text(minimal_policy({}))


def test_readme_shows_it(policy: str) -> None:
    (shown,) = re.findall(r"```json\n(.*?)\n```", README.read_text("utf-8"), re.DOTALL)
    assert shown == policy


def test_it_is_a_policy_that_ram_takes(policy: str) -> None:
    parse(policy)
    assert len(policy) <= 6144  # a custom policy's limit


def test_it_allows_what_the_notebooks_call(policy: str) -> None:
    needed = list(accesses({}))
    assert len({action for action, _ in needed}) > 20
    for action, resource in needed:
        resource = resource.replace("*", "any")
        assert decide([("minimal", policy)], action, resource, TO_ECS).allowed, (action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ram:CreateUser", "acs:ram:*:1:user/any"),
        ("ram:CreateAccessKey", "acs:ram:*:1:user/any"),
        ("ram:AttachPolicyToRole", "acs:ram:*:system:policy/AdministratorAccess"),
        ("ram:AttachPolicyToRole", "acs:ram:*:1:role/Administrator"),
        ("ram:DeleteRole", "acs:ram:*:1:role/Administrator"),
        ("ram:PassRole", "acs:ram::1:role/Administrator"),
        ("ecs:RunInstances", "acs:ecs:cn-hangzhou:1:instance/any"),
        ("ecs:DeleteInstance", "acs:ecs:cn-beijing:1:instance/any"),
        ("ecs:DeleteDisk", "acs:ecs:cn-hangzhou:1:disk/any"),
        ("ecs:AuthorizeSecurityGroup", "acs:ecs:cn-hangzhou:1:securitygroup/sg-other"),
        ("oss:GetObject", "acs:oss:*:1:ramroletest/any"),
        ("sts:AssumeRole", "acs:ram:*:1:role/EcsRamRoleTest"),
    ],
)
def test_it_allows_nothing_else(policy: str, action: str, resource: str) -> None:
    assert not decide([("minimal", policy)], action, resource, TO_ECS).allowed


def test_a_role_is_passed_to_ecs_only(policy: str) -> None:
    arn = "acs:ram::1:role/EcsRamRoleTest"
    assert not decide([("minimal", policy)], "ram:PassRole", arn, {"acs:Service": "fc"}).allowed


def test_it_names_what_the_parameters_name() -> None:
    command = ["policy", "-p", "role_name", "Reader", "-p", "region_id", "cn-beijing"]
    printed = click.testing.CliRunner().invoke(main, command).output
    assert "role/Reader" in printed and "EcsRamRoleTest" not in printed
    assert "cn-beijing" in printed and "cn-hangzhou" not in printed


def test_a_wrong_parameter_is_one_sentence() -> None:
    result = click.testing.CliRunner().invoke(main, ["policy", "-p", "role_nam", "Reader"])
    assert result.exit_code == 2
    assert "did you mean role_name?" in result.output
