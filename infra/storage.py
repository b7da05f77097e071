"""The storage: the bucket with its three folders, and the table."""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

DUE_INDEX = "due"
DAYS_INDEX = "days"
DUE_ATTRIBUTES = ["batch_id", "submitted_at", "priority", "ledger", "cost"]

# Without it a missing key answers 403 instead of 404. A condition on the prefix would not hold: HEAD sends none.
NAME_MISSING = "s3:ListBucket"
# S3 asks for the first one, too, where only versions are deleted. An upload that a dead worker left goes with them.
DELETE_ACTIONS = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"]
LIST_UPLOADS = "s3:ListBucketMultipartUploads"


class Storage(Construct):
    """The bucket and the table, made or adopted. Unless `disposable`, both outlive the stack: they hold answers."""

    def __init__(  # noqa: PLR0913 what differs between deployments is said, never assumed
        self,
        scope: Construct,
        construct_id: str,
        *,
        disposable: bool,
        table: str | None,
        bucket: str | None,
        kms_key: kms.IKey | None,
    ) -> None:
        """Make them, or adopt those of these names."""
        super().__init__(scope, construct_id)
        # Kept when the stack or the resource is deleted; an empty bucket of a first deployment that fails is not. A
        # protected table is, until its protection is taken away.
        kept = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        removal = cdk.RemovalPolicy.DESTROY if disposable else kept
        self.bucket = (
            _bucket(self, removal, kms_key) if bucket is None else s3.Bucket.from_bucket_name(self, "Bucket", bucket)
        )
        self.table = (
            _table(self, removal, kms_key, is_protected=not disposable)
            if table is None
            else dynamodb.Table.from_table_name(self, "Table", table)
        )

    def allow_reading(self, grantee: iam.IGrantable, *folders: str) -> None:
        """Read the current objects; of dropped files, whichever version was dropped."""
        self._allow(grantee, ["s3:GetObject"], *self._objects(folders))
        self._allow(grantee, [NAME_MISSING], self.bucket.bucket_arn)
        if "input" in folders:
            self._allow(grantee, ["s3:GetObjectVersion"], *self._objects(("input",)))

    def allow_writing(self, grantee: iam.IGrantable, *folders: str) -> None:
        self._allow(grantee, ["s3:PutObject"], *self._objects(folders))

    def allow_aborting(self, grantee: iam.IGrantable, *folders: str) -> None:
        self._allow(grantee, ["s3:AbortMultipartUpload"], *self._objects(folders))

    def allow_resuming(self, grantee: iam.IGrantable, *folders: str) -> None:
        """Go on with an upload in parts that another run began, or abort it."""
        self._allow(grantee, ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], *self._objects(folders))
        self._allow(grantee, [LIST_UPLOADS], self.bucket.bucket_arn)

    def allow_listing(self, grantee: iam.IGrantable) -> None:
        self._allow(grantee, ["s3:ListBucketVersions"], self.bucket.bucket_arn)

    def allow_deleting(self, grantee: iam.IGrantable, *folders: str) -> None:
        self._allow(grantee, DELETE_ACTIONS, *self._objects(folders))
        self._allow(grantee, [LIST_UPLOADS], self.bucket.bucket_arn)

    def allow_rows(self, grantee: iam.IGrantable, *operations: str) -> None:
        """Allow operations on rows, as DynamoDB names them. No scan: every write is conditional on what was read."""
        self._allow(grantee, [f"dynamodb:{operation}" for operation in operations], self.table.table_arn)

    def allow_finding_due(self, grantee: iam.IGrantable) -> None:
        self._allow(grantee, ["dynamodb:Query"], f"{self.table.table_arn}/index/{DUE_INDEX}")

    def allow_describing(self, grantee: iam.IGrantable) -> None:
        self._allow(grantee, ["dynamodb:DescribeTable"], self.table.table_arn)

    def _objects(self, folders: tuple[str, ...]) -> list[str]:
        return [self.bucket.arn_for_objects(f"{folder}/*") for folder in folders]

    def _allow(self, grantee: iam.IGrantable, actions: list[str], *resources: str) -> None:
        iam.Grant.add_to_principal(grantee=grantee, actions=actions, resource_arns=list(resources))


def _bucket(scope: Construct, removal: cdk.RemovalPolicy, kms_key: kms.IKey | None) -> s3.Bucket:
    bucket = s3.Bucket(
        scope,
        "Bucket",
        versioned=True,
        encryption=s3.BucketEncryption.S3_MANAGED if kms_key is None else s3.BucketEncryption.KMS,
        encryption_key=kms_key,
        bucket_key_enabled=None if kms_key is None else True,  # one call of KMS for many objects
        enforce_ssl=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        removal_policy=removal,
        lifecycle_rules=[
            # Only the backstop: publish and sweep delete what a job leaves here.
            s3.LifecycleRule(
                id="work",
                prefix="work/",
                expiration=cdk.Duration.days(90),
                noncurrent_version_expiration=cdk.Duration.days(1),
                abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
            ),
            # A job reads the version that was dropped, also after it was overwritten or deleted. 90 days are three
            # times the greatest age a job has by default.
            s3.LifecycleRule(
                id="replaced",
                noncurrent_version_expiration=cdk.Duration.days(90),
                expired_object_delete_marker=True,
                abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
            ),
        ],
    )
    if bucket.policy is not None:
        bucket.policy.apply_removal_policy(removal)  # a bucket that is kept still wants TLS
    resource = bucket.node.default_child
    if not isinstance(resource, s3.CfnBucket):
        raise TypeError("a bucket's resource is an AWS::S3::Bucket")
    # `event_bridge_enabled=True` would bring a custom resource with a function of its own.
    resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
        event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
    )
    return bucket


def _table(
    scope: Construct, removal: cdk.RemovalPolicy, kms_key: kms.IKey | None, *, is_protected: bool
) -> dynamodb.Table:
    table = dynamodb.Table(
        scope,
        "Table",
        partition_key=_text("pk"),
        sort_key=_text("sk"),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        time_to_live_attribute="expires_at",
        encryption=None if kms_key is None else dynamodb.TableEncryption.CUSTOMER_MANAGED,
        encryption_key=kms_key,
        removal_policy=removal,
        deletion_protection=is_protected,
    )
    table.add_global_secondary_index(
        index_name=DUE_INDEX,
        partition_key=_text("due_key"),
        sort_key=dynamodb.Attribute(name="due_at", type=dynamodb.AttributeType.NUMBER),
        projection_type=dynamodb.ProjectionType.INCLUDE,
        non_key_attributes=DUE_ATTRIBUTES,
    )
    table.add_global_secondary_index(
        index_name=DAYS_INDEX,
        partition_key=_text("day"),
        sort_key=_text("pk"),
        projection_type=dynamodb.ProjectionType.KEYS_ONLY,
    )
    return table


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
