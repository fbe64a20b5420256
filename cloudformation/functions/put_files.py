"""Put the shipped rules and permissions into the bucket, where no file is yet: what administrators wrote stays."""

import boto3
import cfnresponse
from botocore.exceptions import ClientError

s3 = boto3.client("s3")


def handler(event, context):
    properties = event["ResourceProperties"]
    try:
        if event["RequestType"] != "Delete":
            put_where_absent(properties["Bucket"], properties["Files"])
        cfnresponse.send(event, context, cfnresponse.SUCCESS, {}, "configuration-files")
    except ClientError as exc:
        cfnresponse.send(
            event, context, cfnresponse.FAILED, {}, "configuration-files", reason=exc.response["Error"]["Code"]
        )


def put_where_absent(bucket, files):
    for key, text in files.items():
        try:
            # Conditional, so that an edit at this very moment is not lost either.
            s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/yaml", IfNoneMatch="*")
        except ClientError as exc:
            if exc.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
