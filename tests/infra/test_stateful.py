"""What an update of the stack must not replace, pinned: with another name or key it would be a new, empty resource.

CloudFormation knows a resource by its logical id, which the CDK makes of the constructs' names and places. A new id is
a new resource, and the old one is deleted or, where it is retained, left beside it. If a test here fails:

- A logical id changed: a construct was renamed or moved. Put it back, or keep the id: `resource.override_logical_id`.
- The table's key schema changed: CloudFormation would replace the table. Rows evolve by new attributes with defaults,
  or by new sort keys in the same table; never by other keys.
- An index's keys or projection changed: DynamoDB cannot change an index. Add one under a new name (DynamoDB makes or
  deletes one index of a table at a time, so one in a deployment), read from it in the next release, and remove the old
  one in a third. A roll-back then always finds the index that it reads.
- An index or a resource was added: add it here, too.
"""

from pathlib import Path

from faking.template import Resource, Template, synthesise


# The queues hold what was dropped until intake takes it; the topic, the addresses that were confirmed.
def test_nothing_that_holds_anything_is_replaced_by_an_update(template: Template) -> None:
    kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SNS::Topic")
    assert {kind: sorted(template.of_type(kind)) for kind in kinds} == {
        "AWS::S3::Bucket": ["StorageBucket5CB7C8EA"],
        "AWS::DynamoDB::Table": ["StorageTableB43FDCE7"],
        "AWS::SQS::Queue": [
            "PipelineAssembleQueue6061A8F0",
            "PipelineAssembleQueueDeadLetters83DEF26A",
            "PipelineCollectQueueD58E2818",
            "PipelineCollectQueueDeadLettersCB2013EA",
            "PipelineFinishQueueDeadLetters31E13ACF",
            "PipelineFinishQueueE7E0865C",
            "PipelineIntakeQueue49B92B5D",
            "PipelineIntakeQueueDeadLetters914E7AAB",
            "PipelinePlanQueue237F802D",
            "PipelinePlanQueueDeadLettersEA0F1366",
            "PipelinePublishQueue5DC04556",
            "PipelinePublishQueueDeadLetters04BCA528",
            "PipelineSubmitQueueA0451151",
            "PipelineSubmitQueueDeadLetters86A794A0",
        ],
        "AWS::SNS::Topic": ["AlarmsTopic3A2DFEBA"],
    }


def test_the_tables_keys_never_change(template: Template) -> None:
    (table,) = template.of_type("AWS::DynamoDB::Table").values()
    assert keys(table) == {"HASH": "pk", "RANGE": "sk"}
    assert {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]} == {
        "pk": "S",
        "sk": "S",
        "due_key": "S",
        "due_at": "N",
        "day": "S",
    }


def test_an_index_is_added_under_a_new_name_and_never_changed(template: Template) -> None:
    (table,) = template.of_type("AWS::DynamoDB::Table").values()
    assert {each["IndexName"]: (keys(each), each["Projection"]) for each in table["GlobalSecondaryIndexes"]} == {
        "due": (
            {"HASH": "due_key", "RANGE": "due_at"},
            {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": ["batch_id", "submitted_at", "priority", "ledger", "cost"],
            },
        ),
        "days": ({"HASH": "day", "RANGE": "pk"}, {"ProjectionType": "KEYS_ONLY"}),
    }


def keys(described: Resource) -> dict[str, str]:
    return {each["KeyType"]: each["AttributeName"] for each in described["KeySchema"]}


def test_an_adopted_table_and_bucket_are_used_and_not_made(template: Template, tmp_path: Path) -> None:
    adopting = synthesise(tmp_path, table="kept-table", bucket="kept-bucket")
    assert [adopting.of_type(kind) for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table")] == [{}, {}]
    environments = [each["Environment"]["Variables"] for each in adopting.functions().values()]
    assert {(each["BATCHDROP_TABLE"], each["BATCHDROP_BUCKET"]) for each in environments} == {
        ("kept-table", "kept-bucket")
    }
    patterns = [
        each["EventPattern"] for each in adopting.of_type("AWS::Events::Rule").values() if "EventPattern" in each
    ]
    assert [each["detail"]["bucket"]["name"] for each in patterns] == [["kept-bucket"]]
    for action in ("dynamodb:UpdateItem", "dynamodb:Query", "s3:GetObject", "s3:PutObject", "s3:DeleteObjectVersion"):
        name = ":table/kept-table" if action.startswith("dynamodb") else ":s3:::kept-bucket"
        assert adopting.steps_that_may(action, name) == template.steps_that_may(action, "")
    assert adopting.steps_that_may("dynamodb:Query", ":table/kept-table/index/due") == template.steps_that_may(
        "dynamodb:Query", "/index/due"
    )


def test_a_bucket_that_is_kept_still_wants_tls(template: Template) -> None:
    policies = [each for each in template.document["Resources"].values() if each["Type"] == "AWS::S3::BucketPolicy"]
    assert [each["DeletionPolicy"] for each in policies] == ["RetainExceptOnCreate"]
