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

from faking.template import Resource, Template


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
