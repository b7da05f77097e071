"""batchdrop: JSONL files of LLM requests in, ordered answers out, through the providers' batch APIs.

Each step is a plain function on one unit (an object, a split, a batch, a job) and does not know what started it. The
modules stand in rooms, and a module imports only what stands in its own room or further down:

    steps → outputs → batches → limits → {jobs, missed_drops} → worker → services → inputs → {aws, providers}
    → protocols → language

    steps       what a function calls: intake plan submit poll collect assemble publish cancel deadline finish sweep
                reconcile
    outputs     from results to published files
    batches     the life of a batch
    limits      what may be sent now
    jobs        a job's own moves; missed_drops finds files whose event was lost
    worker      one run: its claim, its time, what it does after one that died
    services    clients and configuration, made once
    inputs      from dropped bytes to requests; nothing is sent
    aws         the only code that calls AWS for state and bytes
    providers   who is called, with which key; the only code with a vendor's SDK
    protocols   what the two APIs ask and answer; pure, no SDK
    language    the other modules beside this file: errors, states, rows, result lines, the manifest, settings

`tests/docs/test_rooms.py` reads this order here and holds every import to it.
"""

__version__ = "0.1.0"
