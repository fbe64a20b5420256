"""The stack is made, changed and deleted by moto's CloudFormation, as far as moto knows the types of its resources."""

from __future__ import annotations

import ipaddress
import json
import re
import warnings
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.helpers.cloudformation import PSEUDO, Stack, load, parameters

# moto has no model of these at all.
UNKNOWN_TO_MOTO = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Budgets::Budget",
    "AWS::CertificateManager::Certificate",
    "AWS::CloudWatch::Alarm",
    "AWS::CodeBuild::Project",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolDomain",
    "AWS::Cognito::UserPoolGroup",
    "AWS::Cognito::UserPoolIdentityProvider",
    "AWS::Cognito::UserPoolUser",
    "AWS::Cognito::UserPoolUserToGroupAttachment",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBClusterParameterGroup",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SecretsManager::Secret",
    "AWS::ServiceDiscovery::PrivateDnsNamespace",
    "AWS::ServiceDiscovery::Service",
    "AWS::WAFv2::LoggingConfiguration",
    "AWS::WAFv2::WebACL",
    "AWS::WAFv2::WebACLAssociation",
}
LEFT_OUT = {
    "AWS::RDS::DBInstance": "moto makes no instance of a cluster that it did not make",
    "DicomListener": "moto knows no TLS listener",
    "Custom::": "moto would run the functions in Docker; test_functions.py runs them",
}
MADE_FROM = "https://templates-of-tests.s3.amazonaws.com/template.json"


@pytest.fixture
def aws(monkeypatch):
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_the_list_of_what_moto_does_not_know_is_right():
    from moto.cloudformation.parsing import resource_class_from_type

    types = {resource["Type"] for resource in load()["Resources"].values()}
    unknown = {kind for kind in types if not kind.startswith("Custom::") and resource_class_from_type(kind) is None}
    assert unknown == UNKNOWN_TO_MOTO


@pytest.mark.parametrize("pattern", ["All components", "Self-service portal only"])
def test_it_is_made_in_a_new_vpc(aws, pattern):
    values = _given(Pattern=pattern, PortalScheme="internet-facing")
    made = _make(values)
    assert made["StackStatus"] == "CREATE_COMPLETE"
    resources = boto3.client("cloudformation").list_stack_resources(StackName="research-pacs")["StackResourceSummaries"]
    kinds = {resource["ResourceType"] for resource in resources}
    assert {"AWS::ECS::Service", "AWS::EC2::VPC", "AWS::S3::Bucket", "AWS::Lambda::Function"} <= kinds
    buckets = boto3.client("s3").list_buckets()["Buckets"]
    assert len(buckets) == (4 if pattern == "All components" else 3) + 1


def test_it_is_made_in_a_given_vpc_changed_and_deleted(aws):
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    zones = [("10.1.1.0/24", "eu-central-1a"), ("10.1.2.0/24", "eu-central-1b")]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for cidr, zone in zones
    ]
    values = _given(VpcId=vpc) | {"PrivateSubnetIds": subnets, "PublicSubnetIds": []}
    assert _make(values)["StackStatus"] == "CREATE_COMPLETE"
    assert _replicas_of_the_portal() == 1
    cloudformation = boto3.client("cloudformation")
    changed = {**values, "PortalTasks": "3"}
    cloudformation.update_stack(StackName="research-pacs", TemplateURL=MADE_FROM, Parameters=_as_list(changed))
    assert cloudformation.describe_stacks(StackName="research-pacs")["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE"
    assert _replicas_of_the_portal() == 3
    cloudformation.delete_stack(StackName="research-pacs")
    assert [s["StackStatus"] for s in cloudformation.list_stacks()["StackSummaries"]] == ["DELETE_COMPLETE"]


def _given(**chosen: Any) -> dict[str, Any]:
    zone = boto3.client("route53").create_hosted_zone(Name="example.org", CallerReference="x")["HostedZone"]["Id"]
    certificate = boto3.client("acm").request_certificate(DomainName="portal.example.org")["CertificateArn"]
    given = {"HostedZoneId": zone.split("/")[-1], "CertificateArn": certificate}
    return parameters(RepositoryUrl="https://example.org/research-pacs.git", **given, **chosen)


def _make(values: dict[str, Any]) -> dict[str, Any]:
    s3, cloudformation = boto3.client("s3"), boto3.client("cloudformation")
    s3.create_bucket(Bucket="templates-of-tests", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="templates-of-tests", Key="template.json", Body=json.dumps(_for_moto(values)))
    cloudformation.create_stack(StackName="research-pacs", TemplateURL=MADE_FROM, Parameters=_as_list(values))
    return cloudformation.describe_stacks(StackName="research-pacs")["Stacks"][0]


def _as_list(values: dict[str, Any]) -> list[dict[str, str]]:
    texts = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in values.items()}
    return [{"ParameterKey": name, "ParameterValue": text} for name, text in texts.items()]


def _replicas_of_the_portal() -> int:
    found = boto3.client("ecs").describe_services(cluster="research-pacs", services=["portal"])["services"]
    return int(found[0]["desiredCount"])


def _is_left_out(name: str, kind: str) -> bool:
    return kind in UNKNOWN_TO_MOTO or any(name == left or kind.startswith(left) for left in LEFT_OUT)


def _for_moto(values: dict[str, Any]) -> dict[str, Any]:
    """Return the template without what moto does not know; what referred to that gets a word in its place."""
    stack = Stack(values)
    kept = {name: part for name, part in stack.resources.items() if not _is_left_out(name, part["Type"])}
    assert len(kept) > 100
    known = {*kept, *values, *PSEUDO}

    def rewrite(value: Any) -> Any:
        if isinstance(value, list):
            return [rewrite(part) for part in value]
        if not isinstance(value, dict):
            return value
        ((function, part),) = value.items() if len(value) == 1 else (("", None),)
        if function == "Ref" and part not in known:
            return "left-out"
        if function == "Fn::GetAtt" and part[0] not in known:
            return "arn:aws:service:eu-central-1:123456789012:left-out/left-out"
        if function == "Fn::Select" and isinstance(part[1], dict) and "Fn::Cidr" in part[1]:
            return str(list(ipaddress.ip_network(values["VpcCidr"]).subnets(new_prefix=22))[part[0]])
        if function == "Fn::Sub":
            text, own = (part, {}) if isinstance(part, str) else part
            names = known | set(own)
            text = re.sub(r"\$\{([^!}]+)\}", lambda m: m[0] if m[1].split(".")[0] in names else "left-out", text)
            return {"Fn::Sub": [text, rewrite(own)] if own else text}
        return {key: rewrite(inner) for key, inner in value.items()}

    resources = {}
    for name, part in kept.items():
        needed = part.get("DependsOn", [])
        needed = [one for one in ([needed] if isinstance(needed, str) else needed) if one in kept]
        rest = {key: rewrite(inner) for key, inner in part.items() if key not in ("Condition", "DependsOn", "Metadata")}
        resources[name] = rest | ({"DependsOn": needed} if needed else {})
    outputs = {name: {"Value": rewrite(output["Value"])} for name, output in stack.outputs.items()}
    return {"Parameters": load()["Parameters"], "Resources": resources, "Outputs": outputs}
