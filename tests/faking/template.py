"""The stack as CloudFormation gets it, synthesised without the functions' code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.app import build
from infra.context import ROOT

Resource = Mapping[str, Any]
NO_BUNDLING: Mapping[str, object] = {"aws:cdk:bundling-stacks": []}


def default_context() -> dict[str, object]:
    return dict(json.loads((ROOT / "cdk.json").read_text())["context"])


class Template:
    """A synthesised template, asked in the words of the design."""

    def __init__(self, document: Mapping[str, Any], *, environment: str, is_protected: bool) -> None:
        self.document, self.environment, self.is_protected = document, environment, is_protected

    def of_type(self, kind: str) -> dict[str, Resource]:
        resources: dict[str, Resource] = self.document["Resources"]
        return {
            name: resource.get("Properties", {}) for name, resource in resources.items() if resource["Type"] == kind
        }

    def functions(self) -> dict[str, Resource]:
        """Each step's function by the step's name."""
        found = self.of_type("AWS::Lambda::Function").values()
        return {function["Handler"].split(".")[1]: function for function in found}

    def function_ids(self) -> dict[str, str]:
        """The step's name by its function's logical id."""
        found = self.of_type("AWS::Lambda::Function").items()
        return {name: function["Handler"].split(".")[1] for name, function in found}

    def statements(self) -> dict[str, list[Resource]]:
        """What each step's role allows."""
        steps = {function["Role"]["Fn::GetAtt"][0]: step for step, function in self.functions().items()}
        return {
            steps[policy["Roles"][0]["Ref"]]: policy["PolicyDocument"]["Statement"]
            for policy in self.of_type("AWS::IAM::Policy").values()
        }

    def steps_that_may(self, action: str, resource: str) -> set[str]:
        """The steps whose role allows an action on a resource whose written form contains `resource`."""
        return {
            step
            for step, statements in self.statements().items()
            for statement in statements
            if action in as_list(statement["Action"])
            and any(resource in json.dumps(one) for one in as_list(statement["Resource"]))
        }


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def synthesise(directory: Path, **context: object) -> Template:
    values = default_context() | NO_BUNDLING | context
    assembly = build(context=values, directory=directory).synth()
    stack = assembly.get_stack_by_name(str(values["stack_name"]))
    return Template(stack.template, environment=stack.environment.name, is_protected=bool(stack.termination_protection))
