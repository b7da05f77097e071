"""The help of the commands that set up, inspect and repair a deployment: where each is, and its help."""

COMMANDS = {
    "setup": (
        "setup_command:setup",
        """
        Set batchdrop up, on this machine or on AWS, and send one line.

        On AWS it checks Node, the credentials and the bootstrap, deploys the stack, asks for the providers' keys, and
        sends one line. It asks before each step that changes something. Options answer beforehand, for scripts: where
        nobody can be asked, what is left out is not done.

        Example: batchdrop setup --local
        """,
    ),
    "doctor": (
        "operate_commands:doctor_",
        """
        Check what is deployed, and say what to do about what is wrong.

        It looks at the stack and its version, the bucket, the table, the rules, the providers' keys and pauses, the
        queues and their dead letters, the alarms and the jobs that wait for somebody. It changes nothing. What your
        credentials may not see is named.

        Example: batchdrop doctor
        """,
    ),
    "watch": (
        "operate_commands:watch",
        """
        Watch a job live: lines, batches, tokens, money, expected end.

        In a pipe it prints a line whenever something changes. Ctrl-C leaves the job running.

        Example: batchdrop watch latest
        """,
    ),
    "logs": (
        "operate_commands:logs",
        """
        Print what the functions logged about a job, in order.

        On AWS the lines are those that CloudWatch keeps; on this machine those of the local cloud's files.

        Example: batchdrop logs latest
        """,
    ),
    "redrive": (
        "operate_commands:redrive",
        """
        Send dead letters back to the queues that they came from.

        The functions do so by themselves, ever later: this is for who has repaired the cause and does not want to
        wait. It lists the letters, and asks.

        Example: batchdrop redrive --yes
        """,
    ),
    "keys check": (
        "operate_commands:keys_check",
        """
        Ask the providers whether they take the stored keys; free.

        Each is asked for its newest batches. No key is shown.

        Example: batchdrop keys check
        """,
    ),
    "local status": (
        "operate_commands:local_status_",
        """
        Say whether the local cloud is up, and where it is.

        Example: batchdrop local status
        """,
    ),
    "completion": (
        "completion:completion",
        """
        Print the completion of a shell: bash, zsh or fish.

        Example: source <(batchdrop completion bash)
        """,
    ),
}
