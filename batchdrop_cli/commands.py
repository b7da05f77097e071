"""The commands that drop files, follow jobs and run a local cloud: where each is, and its help."""

COMMANDS = {
    "validate": (
        "offline_commands:validate",
        """
        Check a file offline: where its lines go, and their errors.

        A batchdrop.toml is checked as settings.

        A table (.csv, .tsv), or data in JSON lines, needs a template: the options below, or [template] in a
        batchdrop.toml of its folder. Settings in the bucket are not read: `drop_params`, betas and an API version may
        change a line's fate.

        Example: batchdrop validate examples/with_mistakes.jsonl
        """,
    ),
    "quote": (
        "offline_commands:quote",
        """
        Say what a file will cost before it is sent, offline.

        Lines by model, batches, tokens and price, as a range, in batches and at real time.

        Input tokens are an estimate, output tokens range from none to what the requests allow. Models without a known
        price are named.

        Example: batchdrop quote examples/reviews_and_rights.jsonl
        """,
    ),
    "template": (
        "offline_commands:template",
        """
        Show what a row of a file becomes under a template, offline.

        The template is that of the options below, or [template] in a batchdrop.toml of its folder.

        Example: batchdrop template examples/reviews.csv --row 3 --model gpt-4o-mini --prompt "Sentiment of: {{ text }}"
        """,
    ),
    "put": (
        "file_commands:put",
        """
        Drop a file, each file of a folder, or standard input (-).

        It prints the job, or each job. A batchdrop.toml is checked, and dropped as settings. An upload that breaks off
        goes on where it broke when the command is repeated within a week.

        Example: batchdrop put reviews.jsonl --wait
        """,
    ),
    "run": (
        "file_commands:run",
        """
        Drop a file, wait, fetch its results, and sum up.

        It sums up counts, tokens, estimated cost, and why lines failed.

        With --model and --prompt (or --embed) a table's rows are asked about one by one.

        Example: batchdrop run examples/reviews_and_rights.jsonl -o answers
        """,
    ),
    "retry": (
        "file_commands:retry",
        """
        Send a finished job's failed lines again, as they are or fixed.

        It waits, fetches, and sums up, as `run` does.

        The lines become a job of their own. `batchdrop results JOB --with-retries` puts its results in their places.
        It says which of them cannot succeed unless they are changed.

        Example: batchdrop retry latest
        """,
    ),
    "jobs": (
        "job_commands:list_jobs",
        """
        List recent jobs, the newest first.

        Of those that are over it shows lines, tokens and estimated cost.

        Example: batchdrop jobs --days 30 --json
        """,
    ),
    "costs": (
        "job_commands:costs",
        """
        Sum up what finished jobs cost, and what they saved.

        By folder, model or day; the saving is against real time.

        Jobs count by the day (UTC) on which their file was dropped. --csv prints a table for a spreadsheet.

        Example: batchdrop costs --by model --since 2026-11-01
        """,
    ),
    "show": (
        "job_commands:show",
        """
        Show one job: its progress, what it waits for, its cost.

        And where its files are. --watch shows it live, as `watch` does; --report writes a page about a finished one.

        Example: batchdrop show latest
        """,
    ),
    "wait": (
        "job_commands:wait",
        """
        Wait for a job, with the progress that `run` shows.

        Nothing is fetched. Ctrl-C leaves the job running.

        Example: batchdrop wait latest
        """,
    ),
    "approve": (
        "job_commands:approve",
        """
        Let a job be sent that is held for its budget.

        Whatever it costs, it is paid.

        `batchdrop show JOB` says what it may cost, and what its budget is. Raising the budget lets it go on as well.

        Example: batchdrop approve latest
        """,
    ),
    "reject": (
        "job_commands:reject",
        """
        End a job that is held for its budget; nothing is paid.

        Nothing was sent.

        Example: batchdrop reject latest
        """,
    ),
    "cancel": (
        "job_commands:cancel",
        """
        Stop a job; answers received so far are published.

        Waiting requests are not sent, batches at the providers are cancelled.

        It shows who dropped the file and how many requests have ended, and asks unless it is your own latest drop.

        Example: batchdrop cancel latest
        """,
    ),
    "results": (
        "job_commands:results",
        """
        Fetch a finished job's files, and sum up as `run` does.

        They are its results, errors, failed lines, answers and manifest; --failed and --errors fetch those alone.

        Example: batchdrop results latest -o answers --csv
        """,
    ),
    "forget": (
        "job_commands:forget",
        """
        Delete all that is kept of a finished job.

        Its file, outputs, work files, rows, and the providers' copies.

        Only the version of the file that the job read is deleted. It lists everything that it could not delete,
        and then ends with 1.

        Example: batchdrop forget 20261105T091412Z-7f3a9c2e51
        """,
    ),
    "reconcile": (
        "job_commands:reconcile",
        """
        Find the batches sent since a restored table was written.

        Until then nothing is sent.

        The deployed functions list the providers' batches and adopt ours; the command asks for it, and waits. Ctrl-C
        does not stop it. Anthropic's batches show whose they are only when they end: that takes up to a day.

        Example: batchdrop reconcile
        """,
    ),
    "providers": (
        "cloud_commands:providers",
        """
        Show who takes batches, and how much of the limits is in use.

        Of a paused provider it says why.

        Example: batchdrop providers
        """,
    ),
    "console": (
        "console_command:console",
        """
        Show jobs, costs and providers as pages in a browser.

        It runs on this machine alone, with your own AWS credentials. It only reads, unless with
        --write; Ctrl-C ends it.

        It needs the extra "console": make setup, or pip install ".[console]" in a clone of the project.

        Example: batchdrop console --write
        """,
    ),
    "demo": (
        "cloud_commands:demo",
        """
        Show the whole path on this machine, simulated and free.

        A local cloud, a file of real text, answers of both providers.

        Example: batchdrop demo
        """,
    ),
    "smoke-paid": (
        "cloud_commands:smoke_paid",
        """
        Send six requests to the real providers: PAID, under a cent.

        With your keys. It asks first.

        The keys are OPENAI_API_KEY and ANTHROPIC_API_KEY of the environment. It starts a local cloud of its own with
        --real, drops six short lines, waits (minutes, at most a day), checks the answers, and stops that cloud. Those
        who wrote batchdrop had no keys: this command has never been run against the real providers.

        Example: batchdrop smoke-paid
        """,
    ),
    "local up": (
        "cloud_commands:local_up",
        """
        Start the local cloud with simulated providers, and deploy.

        It stays up; a restart loses nothing.

        Example: batchdrop local up
        """,
    ),
    "local down": (
        "cloud_commands:local_down",
        """
        Stop the local cloud; its state is kept.

        Its state stays in the folder, for the next `local up`; keys of real providers are forgotten.

        Example: batchdrop local down
        """,
    ),
    "skill install": (
        "skill:install",
        """
        Write a skill file that explains this command to coding assistants.

        By default it is .claude/skills/batchdrop/SKILL.md.

        A file that somebody else wrote or changed is not overwritten.

        Example: batchdrop skill install --to ~/.claude/skills/batchdrop
        """,
    ),
    "mcp": (
        "mcp_server:serve",
        """
        Serve quote, show and results over the Model Context Protocol.

        It speaks over standard input and output. With --write it serves put, too, which is paid.

        Example: batchdrop mcp --write
        """,
    ),
    "keys set": (
        "cloud_commands:keys_set",
        """
        Write a provider's key into Secrets Manager.

        The command asks for it without showing it, or reads a pipe.

        It first lists the provider's batches with the key, which is free: a key that is refused is not stored.

        Example: batchdrop keys set openai
        """,
    ),
    "keys list": (
        "cloud_commands:keys_list",
        """
        Show which providers have a key, and since when. No key is shown.

        Example: batchdrop keys list
        """,
    ),
}
