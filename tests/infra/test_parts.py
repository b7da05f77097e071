"""The command finds every queue, log group, rule and alarm of the stack by its logical id."""

from faking.template import Template

from batchdrop_cli.deployed import parts_of

KINDS = ("AWS::SQS::Queue", "AWS::Logs::LogGroup", "AWS::Events::Rule", "AWS::CloudWatch::Alarm")


def test_the_command_knows_all_parts_of_the_stack(template: Template) -> None:
    resources = [(kind, name, name) for kind in KINDS for name in template.of_type(kind)]
    found = parts_of(resources)
    queues = {"intake", "plan", "submit", "finish", "collect", "assemble", "publish"}
    assert (set(found.queues), set(found.dead_letters)) == (queues, queues)
    assert set(found.logs) == set(template.functions())
    assert len(found.rules) == len(template.of_type("AWS::Events::Rule"))
    assert len(found.alarms) == len(template.of_type("AWS::CloudWatch::Alarm"))
    assert {"UnitsFailed", "DeadLetters", "SweepSilent"} <= set(found.alarms.values())
