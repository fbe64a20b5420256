"""Who may connect to whom: exactly this table, at both ends."""

from __future__ import annotations

import pytest

from tests.helpers.cloudformation import Stack, parameters

BOTH = {
    ("PortalSourceCidr", "LoadBalancer", 443),
    ("DicomSourceCidr", "DicomLoadBalancer", 2762),
    ("LoadBalancer", "Portal", 8080),
    ("Portal", "ResearchOrthanc", 8042),
    ("ResearchFollower", "ResearchOrthanc", 8042),
    ("ResearchWorker", "ResearchOrthanc", 8042),
    ("ResearchOrthanc", "Database", 5432),
    ("Portal", "Database", 5432),
    ("ResearchFollower", "Database", 5432),
    ("ResearchWorker", "Database", 5432),
    ("Migration", "Database", 5432),
}
ALL = {
    ("PortalSourceCidr", "LoadBalancer", 8443),
    ("DicomLoadBalancer", "SourceOrthanc", 4242),
    ("LoadBalancer", "Console", 8081),
    *((one, "SourceOrthanc", 8042) for one in ("IngestFollower", "Deidentifier", "Console")),
    *((one, "ResearchOrthanc", 8042) for one in ("IngestFollower", "Deidentifier", "Console")),
    *((one, "Database", 5432) for one in ("SourceOrthanc", "IngestFollower", "Deidentifier", "Console")),
}
PORTAL_ONLY = {
    ("ResearchSourceCidr", "LoadBalancer", 8042),
    ("LoadBalancer", "ResearchOrthanc", 8042),
    ("DicomLoadBalancer", "ResearchOrthanc", 4242),
}
# Nothing of the research side is ever at one end of such a connection.
INGEST_ONLY = {"SourceOrthanc", "Console"}
RESEARCH = {"Portal", "ResearchFollower", "ResearchWorker", "ResearchOrthanc"}


def _group(reference):
    assert reference["Fn::GetAtt"][1] == "GroupId"
    return reference["Fn::GetAtt"][0].removesuffix("SecurityGroup")


def _ingress(stack):
    for rule in stack.of_type("AWS::EC2::SecurityGroupIngress").values():
        assert rule["IpProtocol"] == "tcp"
        assert rule["FromPort"] == rule["ToPort"]
        source = rule["CidrIp"]["Ref"] if "CidrIp" in rule else _group(rule["SourceSecurityGroupId"])
        yield source, _group(rule["GroupId"]), rule["FromPort"]


def _egress(stack):
    for rule in stack.of_type("AWS::EC2::SecurityGroupEgress").values():
        yield _group(rule["GroupId"]), _group(rule["DestinationSecurityGroupId"]), rule["FromPort"]


@pytest.mark.parametrize(
    ("pattern", "expected"), [("All components", BOTH | ALL), ("Self-service portal only", BOTH | PORTAL_ONLY)]
)
def test_exactly_these_connect(pattern, expected):
    stack = Stack(parameters(Pattern=pattern))
    assert set(_ingress(stack)) == expected
    assert set(_egress(stack)) == {arrow for arrow in expected if not arrow[0].endswith("Cidr")}
    for name, group in stack.of_type("AWS::EC2::SecurityGroup").items():
        assert "SecurityGroupIngress" not in group, name
        (way_out,) = group["SecurityGroupEgress"]
        assert way_out["FromPort"] in (443, -1), name


def test_nothing_of_the_research_side_reaches_the_ingest_side():
    for source, destination, _ in _ingress(Stack(parameters())):
        assert not (source in RESEARCH and destination in INGEST_ONLY)


def test_each_service_wears_its_own_group_alone():
    stack = Stack(parameters())
    for name, service in stack.of_type("AWS::ECS::Service").items():
        groups = service["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"]
        assert [_group(group) for group in groups] == [name.removesuffix("Service")]
