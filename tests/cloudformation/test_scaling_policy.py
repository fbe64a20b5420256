"""The simulated policy is the template's, and it loses, starves and forgets nothing."""

from __future__ import annotations

import pytest

from bench.scaling_policy import Policy, Scaling, fixed, simulate, template_policy, traces
from tests.helpers.cloudformation import Stack, parameters


def test_the_policy_is_read_from_the_template():
    assert template_policy() == Policy(
        target=3000, percent=100, smallest_step=1, out_cooldown=2, sleep_minutes=10, maximum=10
    )


@pytest.mark.parametrize("name", ["a night's backlog", "working days", "quiet days"])
def test_everything_is_worked_off_and_the_fleet_sleeps_again(name):
    run = simulate(traces(3000, 10)[name] + [0.0] * 60, 3000, Scaling(template_policy()))
    if name != "working days":
        assert run.workers[-1] == 0
    assert run.backlog[-1] == 0
    assert 0 < max(run.workers) <= 10


def test_a_single_instance_wakes_a_worker():
    run = simulate([0.0] * 5 + [1.0] + [0.0] * 30, 3000, Scaling(template_policy()))
    assert max(run.workers) == 1
    assert run.longest_wait <= 5


def test_a_fixed_fleet_gets_done_what_its_workers_can():
    run = simulate([100.0] * 10 + [0.0] * 10, 50, fixed(1))
    assert run.longest_wait >= 19


def test_who_scales_is_told_by_the_follower_of_the_same_side():
    stack = Stack(parameters())
    for service, side in (("Deidentifier", "Ingest"), ("ResearchWorker", "Research")):
        namespace = {"Fn::Sub": f"ResearchPACS/${{AWS::StackName}}/{side}"}
        for kind in ("Out", "Sleep"):
            assert stack.resources[f"{service}{kind}Alarm"]["Properties"]["Namespace"] == namespace
        (container,) = stack.resources[f"{side}FollowerTask"]["Properties"]["ContainerDefinitions"]
        given = {entry["Name"]: entry["Value"] for entry in container["Environment"]}
        assert given["RPACS_CLOUDWATCH_NAMESPACE"] == namespace
        (scaling,) = [v for k, v in stack.resources.items() if k == f"{service}Scaling"]
        assert scaling["Properties"]["MinCapacity"] == 0
