"""The `batchdrop` command: drop files, watch jobs, fetch answers; on this machine's cloud or on AWS.

It writes objects under `input/` and keys, and nothing else; it reads what the functions wrote.
"""
