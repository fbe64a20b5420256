"""Run a task once and wait for its end; the stack goes on only where it ended well."""

import time

import boto3
import cfnresponse

ecs = boto3.client("ecs")


def handler(event, context):
    identity = event.get("PhysicalResourceId", "migrations")
    reason = None
    try:
        if event["RequestType"] != "Delete":
            for task in event["ResourceProperties"]["TaskDefinitions"]:
                run(task, event["ResourceProperties"], context)
    except Exception as exc:  # whatever happens, CloudFormation must hear of it, or it waits for an hour
        reason = f"{type(exc).__name__}: {exc}"[:900]
    status = cfnresponse.FAILED if reason else cfnresponse.SUCCESS
    cfnresponse.send(event, context, status, {}, identity, reason=reason)


def run(task, properties, context):
    started = ecs.run_task(
        cluster=properties["Cluster"],
        taskDefinition=task,
        launchType="FARGATE",
        count=1,
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": properties["Subnets"],
                "securityGroups": properties["SecurityGroups"],
                "assignPublicIp": "DISABLED",
            }
        },
    )
    if started["failures"]:
        raise RuntimeError(f"the task could not be started: {started['failures'][0].get('reason')}")
    arn = started["tasks"][0]["taskArn"]
    while context.get_remaining_time_in_millis() > 20_000:
        time.sleep(5)
        seen = ecs.describe_tasks(cluster=properties["Cluster"], tasks=[arn])["tasks"][0]
        if seen["lastStatus"] == "STOPPED":
            if seen["containers"][0].get("exitCode") != 0:
                raise RuntimeError(f"the migration failed ({seen.get('stoppedReason')}); its log group tells why")
            return
    raise RuntimeError("the migration was still running after a quarter of an hour; its log group tells how far it is")
