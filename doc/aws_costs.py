"""Write ``reference/costs-on-aws.md``: three sizes of the template, worked out from list prices."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "doc" / "reference" / "costs-on-aws.md"
sys.path.insert(0, str(ROOT))

HOURS = 730
# US dollars, Europe (Frankfurt), Linux on ARM, without discounts or free tiers. Prices change.
VCPU_HOUR, GB_HOUR = 0.03725, 0.00409
ACU_HOUR, DATABASE_GB, DATABASE_MILLION_IO = 0.14, 0.119, 0.22
BALANCER_HOUR, CAPACITY_UNIT_HOUR = 0.027, 0.008
NAT_HOUR, NAT_GB = 0.052, 0.052
S3_GB, S3_TIERED_GB, S3_THOUSAND_PUTS = 0.0245, 0.0135, 0.0054
KEY, SECRET, ALARM, DASHBOARD, METRIC, LOG_GB = 1.0, 0.40, 0.10, 3.0, 0.30, 0.63
FIREWALL, FIREWALL_RULE = 5.0, 1.0


@dataclass(frozen=True)
class Size:
    """A site: what comes in each month, and what lies there already.

    Attributes
    ----------
    instances
        New instances a month.
    megabytes
        Of one of them, on average.
    stored_terabytes
        De-identified images that lie in S3, older ones in the infrequent tier.
    per_second
        Instances that one de-identifier gets done in a second.
    capacity
        Aurora capacity units, on average over the month.
    """

    name: str
    instances: int
    megabytes: float
    stored_terabytes: float
    per_second: float
    capacity: float
    portals: int
    log_gigabytes: float


SIZES = (
    Size("pilot", 200_000, 0.5, 1, 25, 0.6, 1, 2),
    Size("department", 3_000_000, 0.5, 20, 25, 1.5, 1, 15),
    Size("hospital group", 30_000_000, 0.5, 200, 25, 5, 2, 100),
)


def worked_out(size: Size, tasks: dict[str, tuple[float, float]], counts: dict[str, int]) -> dict[str, float]:
    """Return dollars a month by item."""

    def hours(*names: str, of: float = HOURS) -> float:
        return sum(of * (tasks[name][0] * VCPU_HOUR + tasks[name][1] * GB_HOUR) for name in names)

    working = size.instances / size.per_second / 3600
    always = ("SourceOrthanc", "ResearchOrthanc", "IngestFollower", "ResearchFollower", "Console")
    arriving = size.instances * size.megabytes / 1000
    stored = size.stored_terabytes * 1000
    return {
        "Orthancs, followers, console, portal": hours(*always) + size.portals * hours("Portal"),
        "de-identifiers and research workers, while there is work": hours("Deidentifier", "ResearchWorker", of=working),
        "database": size.capacity * ACU_HOUR * HOURS
        + (10 + size.instances * 12 / 1e6) * DATABASE_GB
        + 60 * size.instances / 1e6 * DATABASE_MILLION_IO,
        "images in S3": min(stored, arriving) * S3_GB
        + max(0.0, stored - arriving) * S3_TIERED_GB
        + 2 * size.instances / 1000 * S3_THOUSAND_PUTS,
        "load balancers": 2 * HOURS * BALANCER_HOUR + (1 + arriving / HOURS) * HOURS * CAPACITY_UNIT_HOUR,
        "NAT gateway": HOURS * NAT_HOUR + (20 + size.log_gigabytes) * NAT_GB,
        "firewall": FIREWALL + 3 * FIREWALL_RULE,
        "keys, secrets, logs, alarms, dashboard": counts["AWS::KMS::Key"] * KEY
        + counts["AWS::SecretsManager::Secret"] * SECRET
        + counts["AWS::CloudWatch::Alarm"] * ALARM
        + DASHBOARD
        + 60 * METRIC
        + size.log_gigabytes * LOG_GB,
    }


def page() -> str:
    """Return the text of the page."""
    from tests.helpers.cloudformation import Stack, parameters

    stack = Stack(parameters(RepositoryUrl="https://example.org/research-pacs.git"))
    tasks = {name.removesuffix("Task"): _size(task) for name, task in stack.of_type("AWS::ECS::TaskDefinition").items()}
    kinds = [resource["Type"] for resource in stack.resources.values()]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    columns = [worked_out(size, tasks, counts) for size in SIZES]
    rows = [f"| {item} | {' | '.join(f'{column[item]:,.0f}' for column in columns)} |" for item in columns[0]]
    total = f"| **together** | {' | '.join(f'**{sum(column.values()):,.0f}**' for column in columns)} |"
    return HEAD + "\n".join([_assumptions(), "", _header("US dollars a month"), *rows, total]) + TAIL


def _size(task: dict[str, Any]) -> tuple[float, float]:
    return int(task["Cpu"]) / 1024, int(task["Memory"]) / 1024


def _header(first: str) -> str:
    return f"| {first} | {' | '.join(size.name for size in SIZES)} |\n|---|{'---:|' * len(SIZES)}"


def _assumptions() -> str:
    lines = {
        "new instances a month": [f"{size.instances:,}" for size in SIZES],
        "megabytes of one": [f"{size.megabytes:g}" for size in SIZES],
        "de-identified images that lie there, TB": [f"{size.stored_terabytes:g}" for size in SIZES],
        "instances a second and de-identifier": [f"{size.per_second:g}" for size in SIZES],
        "Aurora capacity units on average": [f"{size.capacity:g}" for size in SIZES],
        "replicas of the portal": [str(size.portals) for size in SIZES],
        "logs, GB": [f"{size.log_gigabytes:g}" for size in SIZES],
    }
    return "\n".join([_header("assumed"), *(f"| {name} | {' | '.join(values)} |" for name, values in lines.items())])


HEAD = """\
# What it costs on AWS

Worked out, not measured: list prices of Europe (Frankfurt) in US dollars, ARM, on demand, without free tiers, discounts
and taxes, and with the pattern "All components" as it comes. Prices change; put your own numbers into AWS's pricing
calculator before you decide. The sizes of tasks and the numbers of keys, secrets and alarms are read from the template.

"""
TAIL = """

What the sizes leave out: traffic to the internet (researchers who download instead of exporting to a bucket in the same
region), Amazon Rekognition where you choose it, builds of the images (minutes for each version), and Cognito beyond its
first 10,000 users.

What moves the sum most: the images in S3 (let them be tiered after fewer days, `ArchiveDays`), the database's capacity
(a search wakes it; `DatabaseMinimumCapacity` 0.5 is enough to be idle with), Spot capacity for workers (`UseSpot`), and
an existing VPC with a NAT gateway of its own. When nothing arrives, no de-identifier and no research worker runs.

This page is made by `make docs`.
"""

if __name__ == "__main__":
    PAGE.write_text(page())
