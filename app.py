"""The CDK app: one stack."""

from infra.app import build

build().synth()
