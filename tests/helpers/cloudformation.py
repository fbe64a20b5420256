"""The CloudFormation template as data, and what is there for given parameters."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "cloudformation" / "template.yaml"
NO_VALUE = object()
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "research-pacs",
    "AWS::URLSuffix": "amazonaws.com",
}


class _Loader(yaml.SafeLoader):
    """Reads the short forms: ``!Ref X`` is ``{"Ref": "X"}``."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@cache
def load() -> dict[str, Any]:
    """Read the template, its short forms written out."""
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)
    return loaded


CHOICES: dict[str, tuple[Any, ...]] = {
    "Pattern": ("All components", "Self-service portal only"),
    "VpcId": ("", "vpc-0123456789abcdef0"),
    "CertificateArn": ("", "arn:aws:acm:eu-central-1:123456789012:certificate/0"),
    "HostedZoneId": ("", "Z0123456789ABCDEFGHIJ"),
    "PortalScheme": ("internal", "internet-facing"),
    "WebApplicationFirewall": ("yes", "no"),
    "RepositoryUrl": ("", "https://example.org/research-pacs.git"),
    "SamlMetadataUrl": ("", "https://idp.example.org/metadata"),
    "OidcIssuer": ("", "https://idp.example.org"),
    "AlarmEmail": ("", "alarms@example.org"),
    "ConsoleDomainName": ("", "console.example.org"),
}
FILLED = {
    "PortalDomainName": "portal.example.org",
    "AdministratorEmail": "admin@example.org",
    "CognitoDomainPrefix": "research-pacs-test",
}


def combinations() -> Iterator[dict[str, Any]]:
    """Yield the parameters of every combination of choices that the template's rules accept."""
    for values in itertools.product(*CHOICES.values()):
        chosen = dict(zip(CHOICES, values, strict=True))
        if not (chosen["CertificateArn"] or chosen["HostedZoneId"]):
            continue
        yield parameters(**chosen)


def parameters(**chosen: Any) -> dict[str, Any]:
    """Return all parameters: the given ones, else their defaults; images are given where nothing is built."""
    values = {name: declared.get("Default", FILLED.get(name)) for name, declared in load()["Parameters"].items()}
    values |= chosen
    if values["VpcId"]:
        values |= {"PrivateSubnetIds": ["subnet-0a", "subnet-0b"], "PublicSubnetIds": ["subnet-0c", "subnet-0d"]}
    if not values["RepositoryUrl"]:
        values |= {
            f"{name}ImageUri": f"registry.example.org/{name.lower()}:1"
            for name in ("Deidentifier", "Website", "Orthanc")
        }
    if values["OidcIssuer"]:
        values |= {"OidcClientId": "id", "OidcClientSecret": "secret"}
    return values


class Stack:
    """What the template makes of some parameters."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.template = load()
        self.values = dict(values)
        self.conditions: dict[str, bool] = {}
        for name in self.template["Conditions"]:
            self.condition(name)
        self.resources = {
            name: self.resolve(resource)
            for name, resource in self.template["Resources"].items()
            if self.is_there(resource)
        }
        self.outputs = {n: self.resolve(o) for n, o in self.template["Outputs"].items() if self.is_there(o)}

    def is_there(self, part: Mapping[str, Any]) -> bool:
        """Tell whether a resource or output exists."""
        return "Condition" not in part or self.condition(part["Condition"])

    def condition(self, name: str) -> bool:
        """Evaluate a condition by its name."""
        if name not in self.conditions:
            self.conditions[name] = self._true(self.template["Conditions"][name])
        return self.conditions[name]

    def _true(self, expression: Any) -> bool:
        ((function, value),) = expression.items()
        if function == "Condition":
            return self.condition(value)
        if function == "Fn::Not":
            return not self._true(value[0])
        if function in ("Fn::And", "Fn::Or"):
            return (all if function == "Fn::And" else any)(self._true(part) for part in value)
        if function == "Fn::Equals":
            left, right = (str(self.values[side["Ref"]]) if isinstance(side, dict) else str(side) for side in value)
            return left == right
        raise AssertionError(function)

    def resolve(self, value: Any) -> Any:
        """Follow ``Fn::If``; everything else stays as it is written."""
        if isinstance(value, dict):
            if set(value) == {"Fn::If"}:
                name, yes, no = value["Fn::If"]
                return self.resolve(yes if self.condition(name) else no)
            if value == {"Ref": "AWS::NoValue"}:
                return NO_VALUE
            resolved = {key: self.resolve(part) for key, part in value.items()}
            return {key: part for key, part in resolved.items() if part is not NO_VALUE}
        if isinstance(value, list):
            return [part for part in map(self.resolve, value) if part is not NO_VALUE]
        return value

    def of_type(self, kind: str) -> dict[str, Any]:
        """Return the resources of a type: name → properties."""
        return {name: r.get("Properties", {}) for name, r in self.resources.items() if r["Type"] == kind}


def dangling(values: Mapping[str, Any]) -> list[str]:
    """Return what is referred to and is not there with some parameters."""
    conditions = _conditions(values)
    there, needed = {*values, *PSEUDO, "AWS::NoValue"}, {}
    for section in ("Resources", "Outputs"):
        for name, part in load()[section].items():
            if "Condition" in part and not conditions[part["Condition"]]:
                continue
            if section == "Resources":
                there.add(name)
            state = tuple((used, conditions[used]) for used in _conditions_of(section, name))
            needed[name] = _needed(section, name, state)
    return [f"{name} → {target}" for name, targets in needed.items() for target in targets - there]


def _conditions(values: Mapping[str, Any]) -> dict[str, bool]:
    stack = Stack.__new__(Stack)
    stack.template, stack.values, stack.conditions = load(), dict(values), {}
    return {name: stack.condition(name) for name in load()["Conditions"]}


@cache
def _conditions_of(section: str, name: str) -> tuple[str, ...]:
    return tuple(sorted(_used_conditions(load()[section][name])))


def _used_conditions(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_used_conditions, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    own = {value["Fn::If"][0]} if "Fn::If" in value else set()
    return own.union(*map(_used_conditions, value.values()))


@cache
def _needed(section: str, name: str, state: tuple[tuple[str, bool], ...]) -> frozenset[str]:
    stack = Stack.__new__(Stack)
    stack.template, stack.values, stack.conditions = load(), {}, dict(state)
    part = stack.resolve(load()[section][name])
    listed = part.get("DependsOn", [])
    return frozenset({*([listed] if isinstance(listed, str) else listed), *references(part)})


def references(value: Any) -> set[str]:
    """Return the names that ``Ref``, ``Fn::GetAtt`` and ``Fn::Sub`` refer to."""
    if isinstance(value, list):
        return set().union(*map(references, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for key, part in value.items():
        if key == "Ref":
            found.add(part)
        elif key == "Fn::GetAtt":
            found.add(part[0])
        elif key == "Fn::Sub":
            text, own = (part, {}) if isinstance(part, str) else part
            found |= {name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text) if name not in own}
            found |= references(own)
        else:
            found |= references(part)
    return found


def text_of(value: Any) -> str:
    """Return a value with its references by name, as readable text: ``s3://${ConfigurationBucket}/x``."""
    if isinstance(value, dict):
        ((function, part),) = value.items()
        if function == "Ref":
            return "${" + str(part) + "}"
        if function == "Fn::GetAtt":
            return "${" + ".".join(part) + "}"
        if function == "Fn::Sub":
            if isinstance(part, str):
                return part
            text = str(part[0])
            for name, inner in part[1].items():
                text = text.replace("${" + name + "}", text_of(inner))
            return text
        raise AssertionError(function)
    return str(value)
