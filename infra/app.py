"""The CDK app, also for tests that give it their own context."""

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk

from infra.context import Context
from infra.stack import BatchdropStack


def build(
    *,
    context: Mapping[str, object] | None = None,
    directory: Path | None = None,
) -> cdk.App:
    """Make the app. Without `context` and `directory` they are those that the CDK's command passes on.

    Raises:
        ContextError: A context value is missing or cannot be used.
    """
    app = cdk.App(context=context, outdir=None if directory is None else str(directory))
    values = Context.read(app.node)
    BatchdropStack(app, values.stack_name, context=values)
    return app
