"""Make ``template.yaml`` from the files in ``parts/``: ``python cloudformation/assemble.py``.

The parts are YAML with CloudFormation's short forms, each a piece of some sections; texts of one section are joined in
the order of the files. ``{{include PATH}}`` alone on a line becomes that file of the repository, indented like it,
so that the shipped rules and permissions and the code of the functions stand in the template word for word.
``arrows.csv`` becomes a rule at both ends for each connection between the parts; nothing else may connect.
"""

from __future__ import annotations

import csv
import re
import textwrap
from pathlib import Path

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "template.yaml"
SECTIONS = (
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
)
_SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):", re.MULTILINE)
_INCLUDE = re.compile(r"^( *)\{\{include (\S+)\}\}$", re.MULTILINE)


def assemble() -> str:
    """Return the text of the template.

    Raises
    ------
    ValueError
        A part begins outside a section.
    """
    sections: dict[str, list[str]] = {name: [] for name in SECTIONS}
    for part in sorted(FOLDER.glob("parts/*.yaml")):
        _take_apart(part, sections)
    sections["Resources"].append(arrows_as_resources())
    return "\n".join(_section(name, texts) for name, texts in sections.items() if texts)


def arrows() -> list[dict[str, str]]:
    """Return the connections that are allowed: source, destination, port, condition, why."""
    with (FOLDER / "parts" / "arrows.csv").open() as file:
        return list(csv.DictReader(file))


def arrows_as_resources() -> str:
    """Write the rule at each end of each connection; a network's address range has no group at its end."""
    lines = ["  # " + "-" * 88 + " Who may connect to whom"]
    for arrow in arrows():
        name = f"{arrow['destination']}From{arrow['source']}On{arrow['port']}"
        if arrow["source"].endswith("Cidr"):
            lines += _rule(f"{name}Ingress", "Ingress", arrow, f"CidrIp: !Ref {arrow['source']}")
        else:
            peer = f"SourceSecurityGroupId: !GetAtt {arrow['source']}SecurityGroup.GroupId"
            lines += _rule(f"{name}Ingress", "Ingress", arrow, peer)
            peer = f"DestinationSecurityGroupId: !GetAtt {arrow['destination']}SecurityGroup.GroupId"
            lines += _rule(f"{name}Egress", "Egress", arrow, peer)
    return "\n".join(lines) + "\n"


def _rule(name: str, kind: str, arrow: dict[str, str], peer: str) -> list[str]:
    own = arrow["destination"] if kind == "Ingress" else arrow["source"]
    return [
        f"  {name}:",
        f"    Type: AWS::EC2::SecurityGroup{kind}",
        *([f"    Condition: {arrow['condition']}"] if arrow["condition"] else []),
        "    Properties:",
        f"      Description: {re.sub(chr(39), '', arrow['why'])}",
        f"      GroupId: !GetAtt {own}SecurityGroup.GroupId",
        "      IpProtocol: tcp",
        f"      FromPort: {arrow['port']}",
        f"      ToPort: {arrow['port']}",
        f"      {peer}",
    ]


def _take_apart(part: Path, sections: dict[str, list[str]]) -> None:
    text = _INCLUDE.sub(_included, part.read_text())
    starts = list(_SECTION.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        raise ValueError(f"{part.name} begins outside a section")
    for start, end in zip(starts, [*(match.start() for match in starts[1:]), len(text)], strict=True):
        sections[start[1]].append(text[start.end() : end].rstrip() + "\n")


def _included(match: re.Match[str]) -> str:
    return textwrap.indent((FOLDER.parent / match[2]).read_text().rstrip(), match[1])


def _section(name: str, texts: list[str]) -> str:
    return f"{name}:" + "".join(texts if texts[0][0] == " " else ["\n", *(text.lstrip("\n") for text in texts)])


if __name__ == "__main__":
    TEMPLATE.write_text(assemble())
