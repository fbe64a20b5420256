"""What each task is told, starts, and may do."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import yaml

from common.settings import load as load_settings
from deidentifier.commands.migrate import MigrationSettings as IngestMigrationSettings
from deidentifier.console.settings import ConsoleSettings
from deidentifier.console.settings import load_settings as load_console_settings
from deidentifier.settings import DeidentifierSettings
from tests.helpers.cloudformation import PSEUDO, Stack, parameters, text_of
from website.commands.migrate import MigrationSettings as ResearchMigrationSettings
from website.settings import WebsiteSettings, WorkerSettings
from website.settings import load_settings as load_website_settings

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "IngestFollower": (DeidentifierSettings,),
    "Deidentifier": (DeidentifierSettings,),
    "Console": (ConsoleSettings,),
    "Portal": (WebsiteSettings,),
    "ResearchFollower": (WorkerSettings, WebsiteSettings),
    "ResearchWorker": (WorkerSettings, WebsiteSettings),
    "IngestMigration": (IngestMigrationSettings,),
    "ResearchMigration": (ResearchMigrationSettings,),
}
ORTHANCS = ("SourceOrthanc", "ResearchOrthanc")
# A secret is given as it is made: 40 letters, or 64 letters and digits.
MADE_SECRET = "k" * 64
MADE = {
    "LoadBalancer": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/research-pacs/0123456789",
    "UserPool": "eu-central-1_abcdefghi",
    "PortalClient": "client-of-the-portal",
    "ConsoleClient": "client-of-the-console",
    "OriginalsBucket": "research-pacs-originals",
    "DicomBucket": "research-pacs-dicom",
    "ConfigurationBucket": "research-pacs-configuration",
    "Database.Endpoint.Address": "database.cluster.example.org",
    "Database.Endpoint.Port": "5432",
}


@pytest.fixture(scope="module", params=["All components", "Self-service portal only"])
def stack(request):
    return Stack(parameters(Pattern=request.param, DicomModalities="PACS=CLINICAL@10.1.2.3:104"))


def tasks(stack):
    """Yield each task's name and its container."""
    for name, task in stack.of_type("AWS::ECS::TaskDefinition").items():
        (container,) = task["ContainerDefinitions"]
        yield name.removesuffix("Task"), container


def environment(stack, container):
    """Return the variables as the container sees them."""
    given = {entry["Name"]: text_of(entry["Value"]) for entry in container["Environment"]}
    for name, value in {**PSEUDO, **MADE, **{k: str(v) for k, v in stack.values.items()}}.items():
        given = {key: text.replace("${" + name + "}", value) for key, text in given.items()}
    assert not [text for text in given.values() if "${" in text]
    secrets = {entry["Name"]: MADE_SECRET for entry in container["Secrets"]}
    return given | secrets | {name: "{}" for name in secrets if name == "RPACS_ORTHANC_EXTRA_JSON"}


def test_every_variable_is_one_that_the_program_knows_and_all_that_it_needs_are_given(stack):
    seen = set()
    for name, container in tasks(stack):
        if name in ORTHANCS:
            continue
        given = environment(stack, container)
        known = {f.metadata["variable"] for cls in SETTINGS[name] for f in dataclasses.fields(cls)}
        assert set(given) - known == set(), name
        for cls in SETTINGS[name]:
            load_settings(cls, given)
        seen.add(name)
    assert seen == {n for n in SETTINGS if f"{n}Task" in stack.resources}


def test_the_portal_starts_with_what_it_is_told(stack):
    container = dict(tasks(stack))["Portal"]
    settings = load_website_settings(environment(stack, container))
    assert settings.authentication == "alb"
    assert settings.secure_cookies
    assert settings.cognito_issuer == "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abcdefghi"


def test_the_console_starts_with_what_it_is_told(stack):
    containers = dict(tasks(stack))
    if "Console" in containers:
        settings = load_console_settings(environment(stack, containers["Console"]))
        assert settings.secure_cookies
        assert settings.administrators == stack.resources["ConsoleGroup"]["Properties"]["GroupName"]


def test_the_orthancs_start_with_what_they_are_told(stack, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "orthanc")
    import variables

    for name, container in tasks(stack):
        if name in ORTHANCS:
            given = environment(stack, container)
            assert set(given) <= {variable.name for variable in variables.VARIABLES}
            values = variables.read(given)
            assert values["RPACS_ORTHANC_POSTGRESQL_TLS"] is True
            assert values["RPACS_S3_DICOM_BUCKET_NAME"]
    sys.modules.pop("variables", None)


def test_no_secret_is_given_as_plain_text(stack):
    secret = {
        f.metadata["variable"]
        for classes in SETTINGS.values()
        for cls in classes
        for f in dataclasses.fields(cls)
        if f.metadata["secret"]
    }
    for name, container in tasks(stack):
        assert not {entry["Name"] for entry in container["Environment"]} & secret, name
        for entry in container["Secrets"]:
            source = text_of(entry["ValueFrom"])
            assert source.startswith(("${Database.MasterUserSecret", "arn:${AWS::Partition}:ssm:")) or source[2:-1] in (
                stack.of_type("AWS::SecretsManager::Secret")
            ), name


def test_containers_are_locked_down(stack):
    for name, container in tasks(stack):
        assert container["ReadonlyRootFilesystem"] is True, name
        assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}, name
        assert "Privileged" not in container, name
        assert container["LogConfiguration"]["Options"]["awslogs-group"] == {"Ref": f"{name}LogGroup"}


def test_the_two_sides_do_not_share_secrets_but_the_research_orthancs(stack):
    ingest, research = set(), set()
    for name, container in tasks(stack):
        names = {text_of(entry["ValueFrom"]) for entry in container["Secrets"] if "Database.Master" not in str(entry)}
        (
            ingest
            if name in {"SourceOrthanc", "IngestFollower", "Deidentifier", "Console", "IngestMigration"}
            else research
        ).update(names)
    assert ingest & research <= {"${ResearchOrthancSecret}"}


LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
START = LOGS | {
    "secretsmanager:GetSecretValue",
    "kms:Decrypt",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetAuthorizationToken",
}
BUCKET = {"s3:ListBucket", "s3:GetBucketLocation", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"}
KEY = {"kms:Decrypt", "kms:GenerateDataKey"}
READ = {"s3:GetObject", "kms:Decrypt"}
EXPORT = {
    "cognito-idp:AdminListGroupsForUser",
    "sts:AssumeRole",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
}
ACTIONS = {
    "SourceOrthancRole": BUCKET | KEY,
    "ResearchOrthancRole": BUCKET | KEY,
    "IngestFollowerRole": READ | {"cloudwatch:PutMetricData"},
    "DeidentifierRole": READ,
    "ConsoleRole": READ,
    "PortalRole": READ | EXPORT,
    "ResearchFollowerRole": READ | {"cloudwatch:PutMetricData"},
    "ResearchWorkerRole": READ | EXPORT,
    "SourceOrthancExecutionRole": START | {"ssm:GetParameters"},
    "ResearchOrthancExecutionRole": START | {"ssm:GetParameters"},
    **{
        f"{name}ExecutionRole": START
        for name in ("IngestFollower", "Deidentifier", "Console", "Portal", "ResearchFollower", "ResearchWorker")
    },
    "IngestMigrationExecutionRole": START,
    "ResearchMigrationExecutionRole": START,
    "BuildFunctionRole": LOGS | {"codebuild:StartBuild", "ecr:DescribeImages"},
    "FilesFunctionRole": LOGS | KEY | {"s3:PutObject"},
    "MigrationFunctionRole": LOGS | {"ecs:RunTask", "ecs:DescribeTasks", "iam:PassRole"},
    "FlowLogRole": LOGS | {"logs:DescribeLogStreams", "logs:DescribeLogGroups"},
    "BuildRole": LOGS
    | {
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeImages",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    },
}


def role_statements(role) -> list[dict]:
    """Every statement of a role's policies."""
    return [s for policy in role["Policies"] for s in policy["PolicyDocument"]["Statement"]]


def role_actions(role) -> set[str]:
    """Every action that a role's policies allow."""
    actions = [s["Action"] if isinstance(s["Action"], list) else [s["Action"]] for s in role_statements(role)]
    return {action for listed in actions for action in listed}


def test_each_role_may_do_this_and_nothing_else():
    given = {"RepositoryUrl": "https://example.org/research-pacs.git", "ExportBucketName": "research-exports-*"}
    roles = Stack(parameters(**given)).of_type("AWS::IAM::Role")
    assert set(roles) == set(ACTIONS)
    for name, role in roles.items():
        assert "ManagedPolicyArns" not in role, name
        assert role_actions(role) == ACTIONS[name], name
        assert not [action for action in role_actions(role) if "*" in action], name
        assert all(statement["Effect"] == "Allow" for statement in role_statements(role)), name


@pytest.mark.parametrize("name", ["PortalRole", "ResearchWorkerRole"])
def test_exports_reach_the_buckets_named_in_the_form_and_roles_of_one_prefix(name):
    without = Stack(parameters()).of_type("AWS::IAM::Role")[name]
    assert not {action for action in role_actions(without) if action.startswith("s3:Put")}
    given = Stack(parameters(ExportBucketName="research-exports-*")).of_type("AWS::IAM::Role")[name]
    [write] = [s for s in role_statements(given) if "s3:PutObject" in s["Action"]]
    assert write["Resource"] == {"Fn::Sub": "arn:${AWS::Partition}:s3:::${ExportBucketName}/*"}
    [assume] = [s for s in role_statements(given) if s["Action"] == "sts:AssumeRole"]
    assert assume["Resource"] == {"Fn::Sub": "arn:${AWS::Partition}:iam::*:role/research-pacs-export-*"}


def test_originals_are_for_their_orthanc_alone(stack):
    for name, role in stack.of_type("AWS::IAM::Role").items():
        assert ("OriginalsBucket" in str(role)) == (name == "SourceOrthancRole"), name
        assert ("IngestKey" in str(role)) == (name == "SourceOrthancRole"), name


def test_tasks_start_what_the_compose_file_starts():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    same = {
        "IngestMigration": "migrate-ingest",
        "ResearchMigration": "migrate-research",
        "IngestFollower": "follower",
        "Deidentifier": "deidentifier",
        "Console": "console",
        "Portal": "portal",
    }
    started = {name: container.get("Command") for name, container in tasks(Stack(parameters()))}
    for task, service in same.items():
        assert started[task] == services[service]["command"], task
    # One process there does what two tasks share here, so that the one that never sleeps can be small.
    work = services["workers"]["command"]
    assert started["ResearchFollower"] == [*work, "--only", "follow,reconcile"]
    assert started["ResearchWorker"] == [*work, "--only", "index,export"]
    for orthanc in ("source-orthanc", "research-orthanc"):
        assert "command" not in services[orthanc]
    assert started["SourceOrthanc"] is None
    assert started["ResearchOrthanc"] is None
