"""Start the build of the images, and tell CloudFormation when it has ended (EventBridge calls again then).

Images that are there already are not built again: a tag never changes.
"""

import boto3
import cfnresponse
from botocore.exceptions import ClientError

codebuild, ecr = boto3.client("codebuild"), boto3.client("ecr")
KEYS = ("ResponseURL", "StackId", "RequestId", "LogicalResourceId")


def handler(event, context):
    if event.get("source") == "aws.codebuild":
        ended(event["detail"], context)
        return
    properties = event["ResourceProperties"]
    try:
        if event["RequestType"] == "Delete" or all(map(exists, properties["Repositories"], [properties["Tag"]] * 9)):
            cfnresponse.send(event, context, cfnresponse.SUCCESS, {}, "images")
            return
        asked = [{"name": f"ASKED_{key}", "value": event[key]} for key in KEYS]
        codebuild.start_build(projectName=properties["Project"], environmentVariablesOverride=asked)
    except ClientError as exc:
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, "images", reason=exc.response["Error"]["Code"])


def exists(repository, tag):
    try:
        return bool(ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"])
    except ecr.exceptions.ImageNotFoundException:
        return False


def ended(detail, context):
    variables = {
        v["name"]: v["value"] for v in detail["additional-information"]["environment"]["environment-variables"]
    }
    if "ASKED_ResponseURL" not in variables:
        return  # somebody started this build by hand
    request = {key: variables[f"ASKED_{key}"] for key in KEYS}
    good = detail["build-status"] == "SUCCEEDED"
    reason = (
        None if good else f"build {detail['build-status']}; see {detail['additional-information']['logs']['deep-link']}"
    )
    cfnresponse.send(request, context, cfnresponse.SUCCESS if good else cfnresponse.FAILED, {}, "images", reason=reason)
