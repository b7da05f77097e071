"""Checks that a retry belongs to the job that it names: intake before it is sent, the merge of results again after."""

from batchdrop.aws.keys import OUTPUT, output_prefix
from batchdrop.records import Job


def folder_of(key: str) -> str:
    """The folder that an object lies in, with its slash."""
    return f"{key.rpartition('/')[0]}/"


def find_misfit(retry: Job, retried: Job | None) -> str | None:
    """Return why a retry does not belong to the job that it names, as the end of a sentence; None where it does.

    Whoever may write to one folder must not change what others read of theirs: the retry lies in the job's folder, and
    its list among the job's outputs, where only those may write who may write there anyway.
    """
    if retried is None:
        return "the job that it retries is not known (any more)"
    if folder_of(retry.key) != folder_of(retried.key):  # the other folder's name is not for everybody
        return f"it lies in {folder_of(retry.key)}, the job that it retries in another folder"
    places = (output_prefix(retried), f"{OUTPUT}{retried.id}/")
    if retry.retry_lines is None or not retry.retry_lines.startswith(places):
        return f"its list of line numbers, {retry.retry_lines!r:.1024}, does not lie under {places[0]}"
    return None
