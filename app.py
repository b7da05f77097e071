"""The CDK app: one stack."""

import os

from infra.app import build

build(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION")).synth()
