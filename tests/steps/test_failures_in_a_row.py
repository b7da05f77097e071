"""Failures count in a row: what worked between two of them, and a death that was another's, end the count."""

from batchdrop.guards import Careful
from faking.cloud import Cloud, jsonl
from faking.lines import chat

LEASE = 120  # seconds, of a run


def test_a_death_is_counted_once_however_many_runs_die_elsewhere_after_it(cloud: Cloud) -> None:
    job = str(cloud.drop("input/x.jsonl", jsonl([chat("one")])))
    store = cloud.services.store
    counted = []
    for run in range(6):
        cloud.clock.now += LEASE
        lease = store.lease("sweep", LEASE)
        assert lease is not None
        counted.append(Careful(lease, cloud.services).count_death())
        if run == 1:
            store.note_work(lease, job, "JOB")  # it dies of the job; the others die before they begin a unit
    found = store.job(job)
    assert found is not None
    assert (counted, found.failures) == ([0, 0, 1, 0, 0, 0], 1)
