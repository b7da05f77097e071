"""The only code that calls AWS for state and bytes: the table, the bucket, the queues, events and metrics."""
