"""What the stack promises, asserted on the synthesised template."""

import json
from pathlib import Path
from typing import Any

import pytest
from batchdrop.aws.metrics import Alert
from faking.template import Template, as_list, synthesise

BY_CLOCK = {"sweep", "poll"}
STEPS = {"intake", "plan", "submit", "finish", "poll", "collect", "assemble", "publish", "sweep"}


def test_every_step_of_the_flow_has_its_function(template: Template) -> None:
    assert set(template.functions()) == STEPS


def test_only_publish_writes_output(template: Template) -> None:
    assert template.steps_that_may("s3:PutObject", "/output/*") == {"publish"}


def test_nobody_writes_or_deletes_input(template: Template) -> None:
    assert template.steps_that_may("s3:PutObject", "/input/*") == set()
    assert template.steps_that_may("s3:DeleteObjectVersion", "/input/*") == set()


def test_a_finished_output_is_never_deleted(template: Template) -> None:
    assert template.steps_that_may("s3:DeleteObject", "/output/*") == set()
    assert template.steps_that_may("s3:DeleteObjectVersion", "/output/*") == set()


def test_only_the_steps_that_need_a_folder_read_it(template: Template) -> None:
    folders = ("input", "work", "output")
    assert {folder: template.steps_that_may("s3:GetObject", f"/{folder}/*") for folder in folders} == {
        "input": {"intake", "plan", "assemble", "sweep"},
        "output": {"intake", "publish", "sweep"},
        "work": {"plan", "submit", "finish", "poll", "collect", "assemble", "publish", "sweep"},
    }


def test_only_what_was_dropped_is_read_by_its_version(template: Template) -> None:
    assert template.steps_that_may("s3:GetObjectVersion", "") == {"intake", "plan", "assemble", "sweep"}
    assert template.steps_that_may("s3:GetObjectVersion", "/work/*") == set()
    assert template.steps_that_may("s3:GetObjectVersion", "/output/*") == set()


def test_what_few_steps_do_few_may(template: Template) -> None:
    may = {
        "s3:ListBucketVersions": {"publish", "sweep"},
        "s3:ListBucketMultipartUploads": {"publish", "sweep"},
        "s3:ListMultipartUploadParts": {"publish"},
        "dynamodb:ConditionCheckItem": {"submit", "finish"},
        "dynamodb:DeleteItem": {"submit", "publish", "sweep"},
        "sqs:GetQueueUrl": set(),
        "sqs:ChangeMessageVisibility": set(),
        "secretsmanager:DescribeSecret": set(),
    }
    assert {action: template.steps_that_may(action, "") for action in may} == may
    assert template.steps_that_may("dynamodb:Query", "/index/days") == set()


def test_only_what_calls_a_provider_reads_keys(template: Template) -> None:
    may = {"submit", "finish", "poll", "collect", "sweep"}
    assert template.steps_that_may("secretsmanager:GetSecretValue", "") == may


def test_events_are_sent_in_the_name_of_batchdrop_alone(template: Template) -> None:
    sent = {
        step: statement.get("Condition")
        for step, statements in template.statements().items()
        for statement in statements
        if "events:PutEvents" in as_list(statement["Action"])
    }
    only_ours = {"ForAllValues:StringEquals": {"events:source": "batchdrop"}}
    assert sent == dict.fromkeys(("submit", "finish", "poll", "collect", "publish", "sweep"), only_ours)


def test_keys_are_granted_by_name_and_created_by_nobody(template: Template) -> None:
    granted = json.dumps(template.document["Resources"])
    assert {name: f":secret:batchdrop/{name}-??????" in granted for name in ("openai", "anthropic")} == {
        "openai": True,
        "anthropic": True,
    }
    assert template.of_type("AWS::SecretsManager::Secret") == {}


def test_no_role_may_do_everything(template: Template) -> None:
    actions = {
        action
        for statements in template.statements().values()
        for statement in statements
        for action in as_list(statement["Action"])
    }
    assert {action for action in actions if "*" in action} == set()
    assert "dynamodb:Scan" not in actions


def test_each_step_sends_only_where_the_flow_goes(template: Template) -> None:
    sent = {
        step: {name for name in function["Environment"]["Variables"] if name.endswith("_QUEUE")}
        for step, function in template.functions().items()
    }
    assert sent == {
        "intake": {"BATCHDROP_PLAN_QUEUE", "BATCHDROP_PUBLISH_QUEUE"},
        "plan": {
            "BATCHDROP_PLAN_QUEUE",
            "BATCHDROP_SUBMIT_QUEUE",
            "BATCHDROP_ASSEMBLE_QUEUE",
            "BATCHDROP_PUBLISH_QUEUE",
        },
        "submit": {"BATCHDROP_SUBMIT_QUEUE", "BATCHDROP_FINISH_QUEUE", "BATCHDROP_ASSEMBLE_QUEUE"},
        "finish": {"BATCHDROP_FINISH_QUEUE", "BATCHDROP_COLLECT_QUEUE"},
        "poll": {
            "BATCHDROP_SUBMIT_QUEUE",
            "BATCHDROP_FINISH_QUEUE",
            "BATCHDROP_COLLECT_QUEUE",
            "BATCHDROP_ASSEMBLE_QUEUE",
        },
        "collect": {"BATCHDROP_SUBMIT_QUEUE", "BATCHDROP_FINISH_QUEUE", "BATCHDROP_ASSEMBLE_QUEUE"},
        "assemble": {"BATCHDROP_PUBLISH_QUEUE"},
        "publish": set(),
        "sweep": {
            "BATCHDROP_PLAN_QUEUE",
            "BATCHDROP_SUBMIT_QUEUE",
            "BATCHDROP_FINISH_QUEUE",
            "BATCHDROP_COLLECT_QUEUE",
            "BATCHDROP_ASSEMBLE_QUEUE",
            "BATCHDROP_PUBLISH_QUEUE",
            "BATCHDROP_INTAKE_QUEUE",
        },
    }


def test_only_sweep_takes_dead_letters_and_it_knows_every_queue_of_them(template: Template) -> None:
    known = {
        step: {name for name in function["Environment"]["Variables"] if name.endswith("_DEAD_LETTERS")}
        for step, function in template.functions().items()
    }
    started = {"intake", "plan", "submit", "finish", "collect", "assemble", "publish"}
    assert {step: names for step, names in known.items() if names} == {
        "sweep": {f"BATCHDROP_{step.upper()}_DEAD_LETTERS" for step in started}
    }
    assert template.steps_that_may("sqs:ReceiveMessage", "DeadLetters") == {"sweep"}
    assert template.steps_that_may("sqs:DeleteMessage", "DeadLetters") == {"sweep"}
    assert template.steps_that_may("sqs:SendMessage", "DeadLetters") == set()


def test_an_event_that_is_not_delivered_lies_with_intakes_dead_letters(template: Template) -> None:
    (rule,) = [rule for rule in template.of_type("AWS::Events::Rule").values() if "EventPattern" in rule]
    (target,) = rule["Targets"]
    (intake,) = [
        queue["RedrivePolicy"]["deadLetterTargetArn"]
        for name, queue in template.of_type("AWS::SQS::Queue").items()
        if target["Arn"]["Fn::GetAtt"][0] == name
    ]
    assert target["DeadLetterConfig"]["Arn"] == intake


def test_every_function_knows_its_deployment_and_its_numbers(template: Template) -> None:
    for step, function in template.functions().items():
        variables = function["Environment"]["Variables"]
        assert {name: value for name, value in variables.items() if isinstance(value, str)} == {
            "BATCHDROP_LEASE_SECONDS": "1200",
            "BATCHDROP_FUNCTION_SECONDS": "900",
            "BATCHDROP_TICK_SECONDS": "60",
            "BATCHDROP_SPLIT_BYTES": "67108864",
            "POWERTOOLS_SERVICE_NAME": step,
            "POWERTOOLS_METRICS_NAMESPACE": "batchdrop",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }


def test_every_queue_has_a_dead_letter_queue_that_sweep_empties(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    behind = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }
    of_rules = {
        target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        for rule in template.of_type("AWS::Events::Rule").values()
        for target in rule["Targets"]
        if "DeadLetterConfig" in target
    }
    sweep = template.functions()["sweep"]["Environment"]["Variables"]
    swept = {url["Ref"] for name, url in sweep.items() if name.endswith("_DEAD_LETTERS")}
    assert {name for name, queue in queues.items() if "RedrivePolicy" not in queue} == behind | of_rules == swept
    assert len(behind) == 7
    assert all(queue["RedrivePolicy"]["maxReceiveCount"] >= 10 for queue in queues.values() if "RedrivePolicy" in queue)


def test_a_dead_letter_outlives_its_queue(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue").values()
    kept = {("RedrivePolicy" in queue, queue["MessageRetentionPeriod"]) for queue in queues}
    assert kept == {(True, 4 * 86400), (False, 14 * 86400)}


def test_every_function_has_an_alarm_on_its_errors(template: Template) -> None:
    names = template.function_ids()
    alarmed = {
        names[alarm["Dimensions"][0]["Value"]["Ref"]]
        for alarm in template.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "Errors"
    }
    assert alarmed == STEPS


def test_all_that_the_steps_count_raises_an_alarm_of_its_own(template: Template) -> None:
    alarms = template.of_type("AWS::CloudWatch::Alarm").values()
    ours = [alarm for alarm in alarms if alarm["Namespace"] == "batchdrop"]
    assert sorted(alarm["MetricName"] for alarm in ours) == sorted(Alert)
    assert all(alarm["Dimensions"] == [{"Name": "service", "Value": "batchdrop"}] for alarm in ours)


@pytest.mark.parametrize("tick_seconds", [60, 300])
def test_the_alarm_of_a_paused_provider_stays_on_between_two_tries(tick_seconds: int, tmp_path: Path) -> None:
    template = synthesise(tmp_path, tick_seconds=tick_seconds)
    (alarm,) = [
        each
        for each in template.of_type("AWS::CloudWatch::Alarm").values()
        if each["MetricName"] == Alert.PROVIDER_PAUSED
    ]
    assert alarm["Period"] * alarm["EvaluationPeriods"] > 2 * 5 * tick_seconds
    assert alarm["DatapointsToAlarm"] == 1


@pytest.mark.parametrize(
    ("tick_seconds", "rate"),
    [(2, "rate(1 minute)"), (60, "rate(1 minute)"), (61, "rate(2 minutes)"), (300, "rate(5 minutes)")],
)
def test_the_shortest_polling_interval_is_a_setting(tick_seconds: int, rate: str, tmp_path: Path) -> None:
    rules = synthesise(tmp_path, tick_seconds=tick_seconds).of_type("AWS::Events::Rule").values()
    assert {rule["ScheduleExpression"] for rule in rules if "ScheduleExpression" in rule} == {rate}


def alarms_on(template: Template, metric: str) -> dict[str, Any]:
    """The alarms on a metric of functions, by the function's step."""
    names = template.function_ids()
    return {
        names[alarm["Dimensions"][0]["Value"]["Ref"]]: alarm
        for alarm in template.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == metric and alarm["Namespace"] == "AWS/Lambda"
    }


@pytest.mark.parametrize(("tick_seconds", "minutes"), [(60, 15), (300, 15), (1_800, 90)])
def test_sweep_or_poll_that_does_not_run_raises_an_alarm(tick_seconds: int, minutes: int, tmp_path: Path) -> None:
    alarms = alarms_on(synthesise(tmp_path, tick_seconds=tick_seconds), "Invocations")
    assert alarms.keys() == BY_CLOCK
    for alarm in alarms.values():
        assert alarm["TreatMissingData"] == "breaching"
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
        assert alarm["Period"] * alarm["EvaluationPeriods"] == minutes * 60
        assert alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"]


@pytest.mark.parametrize(("tick_seconds", "minutes"), [(60, 15), (1_800, 90)])
def test_each_providers_rule_that_starts_no_poll_raises_an_alarm(
    tick_seconds: int, minutes: int, tmp_path: Path
) -> None:
    """Else the polls of the other providers hide that one's batches are not asked for any more."""
    template = synthesise(tmp_path, tick_seconds=tick_seconds)
    polls = {
        name: json.loads(target["Input"])["provider"]
        for name, rule in template.of_type("AWS::Events::Rule").items()
        for target in rule["Targets"]
        if "provider" in target.get("Input", "")
    }
    alarms = {
        polls[alarm["Dimensions"][0]["Value"]["Ref"]]: alarm
        for alarm in template.of_type("AWS::CloudWatch::Alarm").values()
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Events", "Invocations")
    }
    assert alarms.keys() == {"openai", "anthropic"}
    for provider, alarm in alarms.items():
        assert provider in alarm["AlarmDescription"]
        assert [each["Name"] for each in alarm["Dimensions"]] == ["RuleName"]
        assert alarm["TreatMissingData"] == "breaching"
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
        assert alarm["Period"] * alarm["EvaluationPeriods"] == minutes * 60
        assert alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"]


def test_scheduled_runs_that_are_dropped_raise_an_alarm(template: Template) -> None:
    alarms = alarms_on(template, "AsyncEventsDropped")
    assert alarms.keys() == BY_CLOCK
    assert {alarm["TreatMissingData"] for alarm in alarms.values()} == {"notBreaching"}


def test_functions_that_queues_start_leave_room_in_an_account_of_some_dozens(template: Template) -> None:
    """As docs/deployment.md computes it."""
    bounds = [
        mapping["ScalingConfig"]["MaximumConcurrency"]
        for mapping in template.of_type("AWS::Lambda::EventSourceMapping").values()
    ]
    assert bounds == [2] * 7
    reserved = [each for each in template.functions().values() if "ReservedConcurrentExecutions" in each]
    assert reserved == []  # which an account of 10 does not allow


def test_only_what_reads_dropped_files_may_use_the_keys_of_others(tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/0d5f4e2a-1111-2222-3333-444455556666"
    template = synthesise(tmp_path, readable_kms_keys=f"{key}, {key}2")
    assert template.steps_that_may("kms:Decrypt", "") == {"intake", "plan", "assemble", "sweep"}


def test_nothing_may_use_a_key_that_is_not_named(template: Template) -> None:
    assert template.steps_that_may("kms:Decrypt", "") == set()


def test_only_steps_that_take_files_or_send_batches_see_whether_the_table_was_restored(template: Template) -> None:
    may = {"intake", "plan", "submit", "finish", "poll", "collect", "sweep"}
    assert template.steps_that_may("dynamodb:DescribeTable", "") == may


_XRAY = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")


def test_nothing_is_traced_unless_the_deployer_wants_it(template: Template) -> None:
    assert {step: each.get("TracingConfig") for step, each in template.functions().items()} == dict.fromkeys(STEPS)
    variables = [each["Environment"]["Variables"] for each in template.functions().values()]
    assert {each["POWERTOOLS_TRACE_DISABLED"] for each in variables} == {"true"}
    assert "xray:" not in json.dumps(template.document)


def test_where_it_is_traced_every_function_may_send_segments_and_sends_no_answer_and_no_exception(
    tmp_path: Path,
) -> None:
    template = synthesise(tmp_path, tracing="true")
    functions = template.functions().values()
    assert [each["TracingConfig"] for each in functions] == [{"Mode": "Active"}] * len(STEPS)
    assert [template.steps_that_may(action, "*") for action in _XRAY] == [STEPS, STEPS]
    told = {name: {each["Environment"]["Variables"][name] for each in functions} for name in _TRACER}
    assert told == {name: {"false"} for name in _TRACER}


_TRACER = ("POWERTOOLS_TRACE_DISABLED", "POWERTOOLS_TRACER_CAPTURE_RESPONSE", "POWERTOOLS_TRACER_CAPTURE_ERROR")


def test_every_alarm_tells_the_one_topic_and_may(template: Template) -> None:
    (topic,) = template.of_type("AWS::SNS::Topic")
    told = [alarm["AlarmActions"] for alarm in template.of_type("AWS::CloudWatch::Alarm").values()]
    providers = 2
    assert told == [[{"Ref": topic}]] * (len(STEPS) + len(Alert) + 2 * len(BY_CLOCK) + providers)
    (policy,) = template.of_type("AWS::SNS::TopicPolicy").values()
    allowed = [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
    assert [one["Principal"] for one in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]


def test_only_a_given_address_is_subscribed(template: Template, tmp_path: Path) -> None:
    assert template.of_type("AWS::SNS::Subscription") == {}
    (subscription,) = synthesise(tmp_path, alarm_email="me@example.org").of_type("AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "me@example.org")


def test_a_lease_outlasts_the_message_and_the_message_outlasts_the_function(template: Template) -> None:
    functions = template.functions()
    names = template.function_ids()
    queues = template.of_type("AWS::SQS::Queue")
    started = {}
    for mapping in template.of_type("AWS::Lambda::EventSourceMapping").values():
        step = names[mapping["FunctionName"]["Ref"]]
        visibility = queues[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["VisibilityTimeout"]
        lease = int(functions[step]["Environment"]["Variables"]["BATCHDROP_LEASE_SECONDS"])
        assert functions[step]["Timeout"] < visibility < lease, step
        started[step] = (mapping["BatchSize"], mapping["FunctionResponseTypes"], mapping["ScalingConfig"])
    one_at_a_time = (1, ["ReportBatchItemFailures"], {"MaximumConcurrency": 2})
    assert started == {
        "intake": (10, ["ReportBatchItemFailures"], {"MaximumConcurrency": 2}),
        "plan": one_at_a_time,
        "submit": one_at_a_time,
        "finish": one_at_a_time,
        "collect": one_at_a_time,
        "assemble": one_at_a_time,
        "publish": one_at_a_time,
    }


def test_no_function_reserves_concurrency(template: Template) -> None:
    assert [one for one in template.functions().values() if "ReservedConcurrentExecutions" in one] == []


def test_poll_runs_every_minute_for_each_provider_and_sweep_once(template: Template) -> None:
    names = template.function_ids()
    scheduled = sorted(
        (rule["ScheduleExpression"], names[target["Arn"]["Fn::GetAtt"][0]], target["Input"])
        for rule in template.of_type("AWS::Events::Rule").values()
        for target in rule["Targets"]
        if "ScheduleExpression" in rule
    )
    assert scheduled == [
        ("rate(1 minute)", "poll", '{"provider":"anthropic"}'),
        ("rate(1 minute)", "poll", '{"provider":"openai"}'),
        ("rate(1 minute)", "sweep", "{}"),
    ]


def test_a_missed_minute_is_never_repeated(template: Template) -> None:
    policies = [
        target["RetryPolicy"]
        for rule in template.of_type("AWS::Events::Rule").values()
        for target in rule["Targets"]
        if "ScheduleExpression" in rule
    ]
    assert policies == [{"MaximumEventAgeInSeconds": 1_200, "MaximumRetryAttempts": 0}] * 3
    names = template.function_ids()
    invoked = {
        names[config["FunctionName"]["Ref"]]: (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"])
        for config in template.of_type("AWS::Lambda::EventInvokeConfig").values()
    }
    assert invoked == {"poll": (0, 1_200), "sweep": (0, 1_200)}


def test_a_dropped_file_is_delivered_for_a_day_and_then_kept(template: Template) -> None:
    (rule,) = [rule for rule in template.of_type("AWS::Events::Rule").values() if "EventPattern" in rule]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "input/"}]}
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    assert "DeadLetterConfig" in target


def test_everything_is_encrypted_and_speaks_tls_only(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    assert {queue["SqsManagedSseEnabled"] for queue in queues.values()} == {True}
    guarded = {queue["Ref"] for one in template.of_type("AWS::SQS::QueuePolicy").values() for queue in one["Queues"]}
    assert guarded == set(queues)
    documents = [
        policy["PolicyDocument"]
        for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy")
        for policy in template.of_type(kind).values()
    ]
    refused = {"Bool": {"aws:SecureTransport": "false"}}
    assert all(
        [one.get("Condition") for one in document["Statement"] if one["Effect"] == "Deny"] == [refused]
        for document in documents
    )


def test_the_bucket_is_private_versioned_and_speaks_to_eventbridge(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def test_work_is_cleaned_and_a_dropped_version_stays_readable(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert (rules["work"]["Prefix"], rules["work"]["ExpirationInDays"]) == ("work/", 90)
    assert rules["work"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert rules["replaced"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert "ExpirationInDays" not in rules["replaced"]


def test_the_deployments_name_is_the_beginning_of_its_stacks_uuid(template: Template) -> None:
    uuid = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
    groups = [{"Fn::Select": [group, {"Fn::Split": ["-", uuid]}]} for group in (0, 1)]  # 8 and 4 digits
    names = [function["Environment"]["Variables"]["BATCHDROP_DEPLOYMENT"] for function in template.functions().values()]
    assert names == [{"Fn::Join": ["", groups]}] * len(STEPS)
    assert template.document["Outputs"]["Deployment"]["Value"] == names[0]


def test_a_template_says_nothing_of_the_account_that_it_is_for(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")
    with_credentials = synthesise(tmp_path)
    assert with_credentials.environment == template.environment == "aws://unknown-account/unknown-region"
    assert with_credentials.document == template.document


def test_paid_answers_outlive_the_stack(template: Template) -> None:
    assert policies(template, "DeletionPolicy") == {
        "AWS::S3::Bucket": "RetainExceptOnCreate",
        "AWS::DynamoDB::Table": "RetainExceptOnCreate",
    }
    assert policies(template, "UpdateReplacePolicy") == {
        "AWS::S3::Bucket": "Retain",
        "AWS::DynamoDB::Table": "Retain",
    }
    assert is_table_protected(template)
    assert template.is_protected


def test_a_disposable_stack_goes_with_all_that_it_holds(tmp_path: Path) -> None:
    disposable = synthesise(tmp_path, disposable="true")
    assert set(policies(disposable, "DeletionPolicy").values()) == {"Delete"}
    assert (is_table_protected(disposable), disposable.is_protected) == (False, False)


def policies(template: Template, kind: str) -> dict[str, str]:
    """What happens to the bucket and the table."""
    return {
        one["Type"]: one[kind]
        for one in template.document["Resources"].values()
        if one["Type"] in {"AWS::S3::Bucket", "AWS::DynamoDB::Table"}
    }


def is_table_protected(template: Template) -> bool:
    (table,) = template.of_type("AWS::DynamoDB::Table").values()
    return bool(table["DeletionProtectionEnabled"])


def test_the_table_has_the_sparse_index_of_what_is_due(template: Template) -> None:
    (table,) = template.of_type("AWS::DynamoDB::Table").values()
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    projected = {index["IndexName"]: index["Projection"] for index in table["GlobalSecondaryIndexes"]}
    assert projected == {
        "due": {
            "ProjectionType": "INCLUDE",
            "NonKeyAttributes": ["batch_id", "submitted_at", "priority", "ledger", "cost"],
        },
        "days": {"ProjectionType": "KEYS_ONLY"},
    }


def test_what_a_step_spools_fits_its_tmp(template: Template) -> None:
    sizes = {
        step: (function["MemorySize"], function["Timeout"], function["EphemeralStorage"]["Size"])
        for step, function in template.functions().items()
    }
    assert sizes == {
        "intake": (256, 30, 512),
        "plan": (1024, 900, 10240),
        "submit": (1024, 900, 1024),
        "finish": (1024, 900, 1024),
        "poll": (512, 60, 512),
        "collect": (1024, 900, 10240),
        "assemble": (1024, 900, 10240),
        "publish": (512, 900, 512),
        "sweep": (512, 60, 512),
    }


def test_logs_are_json_and_do_not_stay_for_ever(template: Template) -> None:
    groups = template.of_type("AWS::Logs::LogGroup")
    assert [group["RetentionInDays"] for group in groups.values()] == [90] * len(STEPS)
    formats = {function["LoggingConfig"]["LogFormat"] for function in template.functions().values()}
    assert formats == {"JSON"}


def test_all_functions_are_one_code_asset_for_arm(template: Template) -> None:
    functions = template.functions().values()
    assert len({function["Code"]["S3Key"] for function in functions}) == 1
    assert {(function["Runtime"], *function["Architectures"]) for function in functions} == {("python3.13", "arm64")}


def test_the_command_finds_the_stack_by_its_outputs(template: Template) -> None:
    outputs = template.document["Outputs"]
    assert set(outputs) == {
        "Bucket",
        "Table",
        "Deployment",
        "Version",
        "PollFunction",
        "SweepFunction",
        "Providers",
        "Region",
    }
    assert outputs["Providers"]["Value"] == "openai,anthropic"


def test_a_short_deployment_is_short_everywhere(tmp_path: Path) -> None:
    short = synthesise(tmp_path, function_seconds="20", lease_seconds="30", tick_seconds="2", arch="x86_64")
    functions = short.functions()
    assert {function["Timeout"] for function in functions.values()} == {20}
    assert {
        queue["VisibilityTimeout"] for queue in short.of_type("AWS::SQS::Queue").values() if "RedrivePolicy" in queue
    } == {25}
    assert {function["Environment"]["Variables"]["BATCHDROP_TICK_SECONDS"] for function in functions.values()} == {"2"}
    assert {architecture for function in functions.values() for architecture in function["Architectures"]} == {"x86_64"}
