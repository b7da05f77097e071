"""batchdrop: JSONL files of LLM requests in, ordered answers out, through the providers' batch APIs.

The steps (`intake`, `plan`, `admit`, `submit`, `poll`, `collect`, `assemble`, `publish`, `sweep`) are plain functions
on one unit each; none of them knows what started it. `store` alone knows the table, `files` alone builds S3 keys,
`providers` alone calls the providers.
"""

__version__ = "0.1.0"
