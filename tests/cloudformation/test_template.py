"""The template as a form: assembled from its parts, accepted by the linters, every question explained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloudformation.assemble import TEMPLATE, assemble
from tests.helpers.cloudformation import Stack, combinations, dangling, load, parameters

BIN = Path(sys.executable).parent


def test_it_is_what_its_parts_make():
    assert TEMPLATE.read_text() == assemble(), "run python cloudformation/assemble.py"


def test_the_console_takes_it():
    assert TEMPLATE.stat().st_size < 1_000_000
    assert len(load()["Resources"]) <= 500
    assert len(load()["Parameters"]) <= 200


def test_every_question_stands_in_a_group_with_a_label_and_an_explanation():
    form = load()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in form["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(load()["Parameters"])
    assert sorted(form["ParameterLabels"]) == sorted(grouped)
    for name, declared in load()["Parameters"].items():
        assert declared["Description"], name
        assert "AllowedPattern" not in declared or declared["ConstraintDescription"], name


def test_cfn_lint_finds_nothing():
    done = subprocess.run([BIN / "cfn-lint", TEMPLATE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_checkov_finds_nothing_and_each_exception_has_its_reason():
    checkov = shutil.which("checkov", path=BIN)
    assert checkov, "make setup installs checkov into an environment of its own"
    command = [checkov, "-f", TEMPLATE, "--framework", "cloudformation", "--skip-download", "--compact", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["failed"] == 0, [check["check_id"] for check in found["results"]["failed_checks"]]
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 300
    for resource in load()["Resources"].values():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"]) > 20


def test_no_combination_of_answers_leaves_a_reference_without_its_target():
    seen = 0
    for values in combinations():
        assert dangling(values) == [], values
        seen += 1
    assert seen > 1000


@pytest.mark.parametrize(
    ("pattern", "there", "missing"),
    [
        ("All components", {"SourceOrthancService", "ConsoleListener", "IngestKey"}, {"ResearchOrthancListener"}),
        (
            "Self-service portal only",
            {"ResearchOrthancListener", "PortalService", "ResearchWorkerService"},
            {"SourceOrthancService", "ConsoleListener", "IngestKey", "OriginalsBucket", "PseudonymSecret"},
        ),
    ],
)
def test_the_patterns(pattern, there, missing):
    resources = set(Stack(parameters(Pattern=pattern)).resources)
    assert there <= resources
    assert not missing & resources


STATEFUL = {
    "AWS::S3::Bucket",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::KMS::Key",
    "AWS::SecretsManager::Secret",
    "AWS::Cognito::UserPool",
    "AWS::ECR::Repository",
    "AWS::Logs::LogGroup",
}


def test_what_holds_data_says_what_becomes_of_it():
    for name, resource in load()["Resources"].items():
        if resource["Type"] in STATEFUL:
            assert resource.get("DeletionPolicy"), name
            assert resource.get("UpdateReplacePolicy") == resource["DeletionPolicy"], name
    database = load()["Resources"]["Database"]
    assert database["DeletionPolicy"] == "Snapshot"


def test_nothing_is_public_unless_asked():
    stack = Stack(parameters(CertificateArn="arn:aws:acm:eu-central-1:1:certificate/0"))
    assert stack.resources["LoadBalancer"]["Properties"]["Scheme"] == {"Ref": "PortalScheme"}
    assert load()["Parameters"]["PortalScheme"]["Default"] == "internal"
    for name, declared in load()["Parameters"].items():
        assert declared.get("Default") != "0.0.0.0/0", name
    for service in stack.of_type("AWS::ECS::Service").values():
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    for subnet in stack.of_type("AWS::EC2::Subnet").values():
        assert subnet["MapPublicIpOnLaunch"] is False


def test_everything_is_encrypted():
    stack = Stack(parameters())
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        assert all(bucket["PublicAccessBlockConfiguration"].values()), name
        assert bucket["BucketEncryption"], name
        policy = stack.resources[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
        assert any(
            s["Effect"] == "Deny" and "aws:SecureTransport" in str(s["Condition"]) for s in policy if "Condition" in s
        ), name
    for name, group in stack.of_type("AWS::Logs::LogGroup").items():
        assert group["KmsKeyId"], name
        assert group["RetentionInDays"], name
    assert stack.resources["Database"]["Properties"]["StorageEncrypted"] is True
    assert stack.resources["DatabaseParameters"]["Properties"]["Parameters"]["rds.force_ssl"] == "1"
    for name, listener in stack.of_type("AWS::ElasticLoadBalancingV2::Listener").items():
        assert listener["Protocol"] in ("HTTPS", "TLS"), name
        assert "TLS13" in listener["SslPolicy"], name


def test_users_can_write_no_attribute_that_tells_what_they_may():
    stack = Stack(parameters(SamlMetadataUrl="https://x", OidcIssuer="https://y"))
    for client in stack.of_type("AWS::Cognito::UserPoolClient").values():
        assert client["WriteAttributes"] == ["email"]
        assert "aws.cognito.signin.user.admin" not in client["AllowedOAuthScopes"]
        assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
        assert client["AllowedOAuthFlows"] == ["code"]
    for provider in stack.of_type("AWS::Cognito::UserPoolIdentityProvider").values():
        assert set(provider["AttributeMapping"]) == {"email"}


def test_the_balancer_logs_in_everywhere_but_where_programs_come():
    stack = Stack(parameters())
    for name in ("PortalListener", "ConsoleListener"):
        first = stack.resources[name]["Properties"]["DefaultActions"][0]
        assert first["Type"] == "authenticate-cognito"
        assert first["AuthenticateCognitoConfig"]["OnUnauthenticatedRequest"] == "authenticate"
        assert first["AuthenticateCognitoConfig"]["SessionTimeout"] == 8 * 3600
    rules = stack.of_type("AWS::ElasticLoadBalancingV2::ListenerRule")
    assert list(rules) == ["PortalProgramsRule"]
    (condition,) = rules["PortalProgramsRule"]["Conditions"]
    assert condition["PathPatternConfig"]["Values"] == ["/api", "/api/*", "/dicom-web", "/dicom-web/*"]


def test_the_page_of_costs_is_made_from_this_template(monkeypatch):
    monkeypatch.syspath_prepend(TEMPLATE.parents[1] / "doc")
    import aws_costs

    assert aws_costs.page() == aws_costs.PAGE.read_text(), "run make docs"
