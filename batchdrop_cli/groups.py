"""In which group of `--help` each command stands, and in which order: by what a newcomer needs first."""

GROUPS = {
    "Work": (
        "run",
        "put",
        "watch",
        "wait",
        "show",
        "jobs",
        "console",
        "results",
        "retry",
        "cancel",
        "validate",
        "template",
    ),
    "Money": ("quote", "costs", "approve", "reject"),
    "Operate": (
        "setup",
        "doctor",
        "keys",
        "providers",
        "logs",
        "redrive",
        "reconcile",
        "forget",
        "smoke-paid",
        "skill",
        "mcp",
        "completion",
    ),
    "Local": ("demo", "local"),
}
GROUPS_OF_COMMANDS = {
    "local": "The cloud on this machine: the deployed stack, no account.",
    "keys": "The providers' keys, in Secrets Manager.",
    "skill": "A file that explains this command to coding assistants.",
}
_ORDER = [name for names in GROUPS.values() for name in names]
_LAST = len(_ORDER)

BEGIN = """Begin with these two:
  batchdrop setup
  batchdrop run examples/reviews_and_rights.jsonl"""


def group_of(name: str) -> str | None:
    """The group of a command; None for one of a group of commands, such as `keys set`."""
    return next((group for group, names in GROUPS.items() if name in names), None)


def place_of(name: str) -> int:
    """Return where a command stands in its group."""
    return _ORDER.index(name) if name in _ORDER else _LAST
