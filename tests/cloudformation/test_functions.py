"""The functions that CloudFormation calls: what they do, and that it hears of every end."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from tests.helpers.cloudformation import load

FUNCTIONS = Path(__file__).parents[2] / "cloudformation" / "functions"


class Answers(types.ModuleType):
    """Stands for the module that Lambda puts beside inline code; the real one needs CloudFormation's address."""

    SUCCESS, FAILED = "SUCCESS", "FAILED"

    def __init__(self):
        super().__init__("cfnresponse")
        self.sent = []

    def send(self, event, context, status, data, identity=None, noEcho=False, reason=None):
        self.sent.append((event, status, identity, reason))


@pytest.fixture
def answers(monkeypatch):
    module = Answers()
    monkeypatch.setitem(sys.modules, "cfnresponse", module)
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    return module


def function(name):
    spec = importlib.util.spec_from_file_location(name, FUNCTIONS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", sorted(FUNCTIONS.glob("*.py")), ids=lambda file: file.stem)
def test_each_stands_in_the_template_word_for_word_and_is_short_enough(file):
    codes = [
        r["Properties"]["Code"]["ZipFile"] for r in load()["Resources"].values() if r["Type"] == "AWS::Lambda::Function"
    ]
    (code,) = [code for code in codes if code.rstrip() == file.read_text().rstrip()]
    assert len(code.encode()) <= 4096  # CloudFormation's limit of inline code


@mock_aws
def test_files_are_put_where_none_is(answers):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="configuration", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="configuration", Key="config/a.yaml", Body=b"edited")
    properties = {"Bucket": "configuration", "Files": {"config/a.yaml": "shipped", "config/b.yaml": "shipped"}}
    for kind in ("Create", "Update", "Delete"):
        function("put_files").handler({"RequestType": kind, "ResourceProperties": properties}, None)
    read = {key: s3.get_object(Bucket="configuration", Key=key)["Body"].read() for key in properties["Files"]}
    assert read == {"config/a.yaml": b"edited", "config/b.yaml": b"shipped"}
    assert [status for _, status, *_ in answers.sent] == ["SUCCESS"] * 3


@mock_aws
def test_a_missing_bucket_is_told(answers):
    properties = {"Bucket": "absent", "Files": {"a": "b"}}
    function("put_files").handler({"RequestType": "Create", "ResourceProperties": properties}, None)
    assert answers.sent[0][1:] == ("FAILED", "configuration-files", "NoSuchBucket")


class Context:
    """So long a function has left."""

    def __init__(self, seconds=900):
        self.milliseconds = seconds * 1000

    def get_remaining_time_in_millis(self):
        self.milliseconds -= 5000
        return self.milliseconds


class Ecs:
    """An ECS whose task ends so; moto's tasks run for ever."""

    def __init__(self, exit_code=0, failures=(), polls=2):
        self.exit_code, self.failures, self.polls, self.started = exit_code, list(failures), polls, []

    def run_task(self, **arguments):
        self.started.append(arguments)
        return {"failures": self.failures, "tasks": [{"taskArn": "arn:task"}]}

    def describe_tasks(self, cluster, tasks):
        self.polls -= 1
        state = "STOPPED" if self.polls < 0 else "RUNNING"
        return {
            "tasks": [{"lastStatus": state, "stoppedReason": "it ended", "containers": [{"exitCode": self.exit_code}]}]
        }


MIGRATIONS = {
    "Cluster": "cluster",
    "TaskDefinitions": ["ingest:1", "research:1"],
    "Subnets": ["subnet-1"],
    "SecurityGroups": ["sg-1"],
}


@pytest.mark.parametrize(
    ("ecs", "status", "reason"),
    [
        (Ecs(), "SUCCESS", None),
        (Ecs(exit_code=1), "FAILED", "the migration failed"),
        (Ecs(exit_code=None), "FAILED", "the migration failed"),
        (Ecs(failures=[{"reason": "RESOURCE:FARGATE"}]), "FAILED", "could not be started: RESOURCE:FARGATE"),
        (Ecs(polls=10_000), "FAILED", "still running"),
    ],
)
def test_migrations_are_waited_for(answers, monkeypatch, ecs, status, reason):
    module = function("run_migrations")
    monkeypatch.setattr(module, "ecs", ecs)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    module.handler({"RequestType": "Create", "ResourceProperties": MIGRATIONS}, Context())
    assert answers.sent[0][1] == status
    assert (reason or "") in (answers.sent[0][3] or "")
    network = ecs.started[0]["networkConfiguration"]["awsvpcConfiguration"]
    assert network["assignPublicIp"] == "DISABLED"
    if status == "SUCCESS":
        assert [call["taskDefinition"] for call in ecs.started] == MIGRATIONS["TaskDefinitions"]


def test_deleting_the_stack_runs_no_migration(answers, monkeypatch):
    module, ecs = function("run_migrations"), Ecs()
    monkeypatch.setattr(module, "ecs", ecs)
    module.handler({"RequestType": "Delete", "ResourceProperties": MIGRATIONS}, Context())
    assert ecs.started == []
    assert answers.sent[0][1] == "SUCCESS"


class CodeBuild:
    """Remembers what was started."""

    def __init__(self):
        self.started = []

    def start_build(self, **arguments):
        self.started.append(arguments)


REQUEST = {"ResponseURL": "https://answer", "StackId": "stack", "RequestId": "request", "LogicalResourceId": "Images"}


MANIFEST = '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}'


def built(status, variables):
    """Return the event of a build that ended."""
    return {
        "source": "aws.codebuild",
        "detail": {
            "build-status": status,
            "additional-information": {
                "logs": {"deep-link": "https://log"},
                "environment": {"environment-variables": variables},
            },
        },
    }


@mock_aws
def test_images_are_built_once_and_the_end_is_told(answers, monkeypatch):
    module, codebuild = function("build_images"), CodeBuild()
    monkeypatch.setattr(module, "codebuild", codebuild)
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="stack/website")
    properties = {"Project": "images", "Repositories": ["stack/website"], "Tag": "v2"}
    module.handler({"RequestType": "Create", "ResourceProperties": properties, **REQUEST}, None)
    assert answers.sent == []  # CloudFormation waits for the build
    (started,) = codebuild.started
    module.handler(built("FAILED", started["environmentVariablesOverride"]), None)
    assert answers.sent == [(REQUEST, "FAILED", "images", "build FAILED; see https://log")]
    module.handler(built("SUCCEEDED", started["environmentVariablesOverride"]), None)
    assert answers.sent[-1] == (REQUEST, "SUCCESS", "images", None)
    ecr.put_image(repositoryName="stack/website", imageManifest=MANIFEST, imageTag="v2")
    module.handler({"RequestType": "Update", "ResourceProperties": properties, **REQUEST}, None)
    assert answers.sent[-1][1] == "SUCCESS"
    assert len(codebuild.started) == 1


def test_a_build_that_somebody_started_by_hand_is_no_business_of_a_stack(answers):
    function("build_images").handler(built("SUCCEEDED", []), None)
    assert answers.sent == []
