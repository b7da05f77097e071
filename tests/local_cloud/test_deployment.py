"""What a deployment leaves in the cloud's folder."""

import os
from pathlib import Path

from local_cloud.deployment import forget_old_code


def test_only_the_code_that_was_built_last_is_kept(tmp_path: Path) -> None:
    for built_at, name in enumerate(["asset.2", "asset.1"]):  # as the CDK leaves it of one archive
        (tmp_path / name).mkdir()
        (tmp_path / name / "functions.zip").touch()
        (tmp_path / f"{name}.zip").write_bytes(b"PK")
        os.utime(tmp_path / f"{name}.zip", (built_at, built_at))
    (tmp_path / "manifest.json").touch()
    forget_old_code(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asset.1", "asset.1.zip", "manifest.json"]
