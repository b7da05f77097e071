"""Every rule has a test that fails without it: each is broken in a copy of the sources, and its test is run.

`make mutations` prints what caught what, and ends with 1 where nothing did. The sources here are never changed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_SECONDS = 900
_FAILED = 1  # pytest's word for tests that ran and failed
_OTHER_PACKAGES = ("batchdrop_cli", "local_cloud")


class Mutation(NamedTuple):
    """A rule, how its line reads without it, and the test that fails then.

    `file` is under `functions/batchdrop`, or begins with the name of another package.
    """

    rule: str
    file: str
    old: str
    new: str
    test: str


_STEPS, _STORE, _FAULTS = "tests/steps/", "tests/store/test_moves.py::", "tests/faults/"
_UNKNOWN, _CANCEL = f"{_STEPS}test_unknown_creates.py::", f"{_STEPS}test_cancel.py::"
_RETRY_ROUNDS, _OUTCOMES = f"{_STEPS}test_retry_rounds.py::", f"{_STEPS}test_provider_outcomes.py::"
_WHOLE, _INVARIANTS = f"{_STEPS}test_whole_path.py::", f"{_STEPS}test_invariants.py::"
_CLIENT_REQUESTS = "tests/unit/test_client_requests.py::"
_REQUEST_LINES, _FORMATS = "tests/unit/test_request_lines.py::", "tests/unit/test_file_formats.py::"
_USUAL_ROWS, _ASSEMBLY = "tests/unit/test_usual_rows.py::", "tests/unit/test_assembly.py::"
_PAID, _ACCOUNTING = f"{_STEPS}test_paid_answers.py::", "tests/unit/test_accounting.py::"
_REFUSED, _TABLE = f"{_STEPS}test_refused_batches.py::", "tests/unit/test_refusals.py::"
_FAILED_UNITS, _LOGS = f"{_STEPS}test_failed_units.py::", f"{_STEPS}test_logs.py::"
_IN_A_ROW = f"{_STEPS}test_failures_in_a_row.py::"
_SHARED_RETRIES = f"{_STEPS}test_retries.py::"
_RESTORED = f"{_STEPS}test_restored_table.py::"
_RESIZING = f"{_STEPS}test_resizing.py::"
_ISOLATION, _LATE = f"{_STEPS}test_fault_isolation.py::", f"{_FAULTS}test_late_workers.py::"
_CREATE = """row = _record_intent(job, row, services)
            provider_id = api.create(
                row, path, deployment=services.settings.deployment, seconds=_create_seconds(services)
            )
"""
_CREATE_FIRST = """provider_id = api.create(
                row, path, deployment=services.settings.deployment, seconds=_create_seconds(services)
            )
            row = _record_intent(job, row, services)
"""

_QUOTES, _QUOTE = "tests/unit/test_quotes.py::", "tests/cli/test_quote.py::"
_PRICE_LIST = "tests/unit/test_price_list.py::"
_USUAL_LINES = "tests/unit/test_usual_lines.py::"
_JOB_QUOTES = f"{_STEPS}test_job_quotes.py::"

MUTATIONS = (
    # What a file will cost
    Mutation(
        "a batch price is asked for by the price list's own word",
        "providers/price_list.py",
        '_BATCH = {"processing": "batch"}',
        '_BATCH = {"processing": "flex"}',
        f"{_PRICE_LIST}test_every_model_costs_half_in_a_batch_but_for_those_that_are_named_here",
    ),
    Mutation(
        "a model whose price in a batch is the standard one has no batch price",
        "providers/price_list.py",
        "has_batch_price = batch.model_price != standard.model_price",
        "has_batch_price = True",
        f"{_PRICE_LIST}test_every_model_costs_half_in_a_batch_but_for_those_that_are_named_here",
    ),
    Mutation(
        "a provider's prices are those of its address, whatever its name is",
        "providers/price_list.py",
        "listed_prices(name, address=config.price_address or config.base_url)",
        "listed_prices(name, provider=provider)",
        f"{_PRICE_LIST}test_a_server_that_the_list_does_not_know_has_no_price_whatever_its_models_are_called",
    ),
    Mutation(
        "a sum over many requests is priced as requests of usual length",
        "providers/price_list.py",
        "_FEW, _MANY = 1_000, 10_000_000",
        "_FEW, _MANY = 10_000_000, 10_000_000",
        f"{_PRICE_LIST}test_a_long_request_has_prices_of_its_own",
    ),
    Mutation(
        "each of the answers that a request asks for may be as long as its limit",
        "protocols/output_limits.py",
        "return named and named * max(_within(limits.n) or 1, _within(limits.best_of) or 1)",
        "return named",
        "tests/unit/test_output_limits.py::test_a_request_says_how_much_may_be_answered",
    ),
    Mutation(
        "a request without a limit of output makes the most unknown",
        "inputs/quotes.py",
        "if counts.unlimited or counts.unseen:",
        "if counts.unseen:",
        f"{_QUOTES}test_without_a_limit_of_output_the_most_is_unknown",
    ),
    Mutation(
        "input that the file does not hold makes the most unknown",
        "inputs/quotes.py",
        "if counts.unlimited or counts.unseen:",
        "if counts.unlimited:",
        f"{_QUOTES}test_input_that_the_file_does_not_hold_makes_the_most_unknown",
    ),
    Mutation(
        "a model without a price makes the most of all unknown",
        "inputs/quotes.py",
        "total += CostRange(low=Decimal(0), high=None) if each is None else each",
        "total += NOTHING if each is None else each",
        f"{_QUOTES}test_a_model_without_a_price_makes_the_most_of_all_unknown",
    ),
    Mutation(
        "what may be written to a cache counts at the price of writing",
        "inputs/quotes.py",
        "return max(rates.input, rates.cache_write, rates.cache_write_1h)",
        "return max(rates.input, rates.cache_write)",
        f"{_QUOTES}test_what_is_written_to_a_cache_costs_more_and_for_an_hour_most",
    ),
    Mutation(
        "a long request counts at most at the price of long ones",
        "inputs/quotes.py",
        'return long_rates if kind.startswith("long-") and long_rates is not None else rates',
        "return rates",
        f"{_QUOTES}test_a_long_request_costs_at_most_what_long_ones_do",
    ),
    Mutation(
        "pictures are counted by their kind, and not as text",
        "inputs/token_counts.py",
        "tokens_of(len(body) - media.bytes) + media.tokens",
        "tokens_of(len(body))",
        f"{_QUOTES}test_pictures_are_counted_by_their_kind_and_not_as_text",
    ),
    Mutation(
        "a job is quoted as its file is by the command",
        "steps/plan.py",
        "        self._counts.add(route, read, media, group.model)\n",
        "",
        f"{_JOB_QUOTES}test_a_job_is_quoted_as_its_file_is_by_the_command",
    ),
    Mutation(
        "the first quote of a job stays",
        "batches/job_quote.py",
        "written = services.files.put_first(keys.quote_key(job.id), msgspec.json.encode(made))",
        "services.files.put(keys.quote_key(job.id), written := msgspec.json.encode(made))",
        f"{_JOB_QUOTES}test_the_first_quote_stays_whatever_prices_become",
    ),
    Mutation(
        "a job that an earlier version planned in part has no quote",
        "batches/job_quote.py",
        "        if plan.tokens is None:\n            return None\n",
        "        if plan.tokens is None:\n            continue\n",
        f"{_JOB_QUOTES}test_a_job_that_an_earlier_version_planned_in_part_has_no_quote_and_runs",
    ),
    Mutation(
        "a price that cannot be told is unknown, and ends no job",
        "providers/price_list.py",
        "        except Exception as error:  # noqa: BLE001 - whatever it is",
        "        except LookupError as error:",
        f"{_JOB_QUOTES}test_a_price_list_that_fails_leaves_prices_unknown",
    ),
    Mutation(
        "the most of a batch counts each of its requests at its longest output",
        "batches/job_quote.py",
        "output = batch.requests * max(each.longest_output for each in routes)",
        "output = max(each.longest_output for each in routes)",
        f"{_JOB_QUOTES}test_the_most_of_each_of_several_batches_is_enough_for_its_own_requests",
    ),
    Mutation(
        "the most of a batch is unknown where that of a route of it is",
        "batches/job_quote.py",
        "if not routes or len(known) < len(routes):",
        "if not routes:",
        f"{_JOB_QUOTES}test_the_most_of_a_batch_is_unknown_where_a_route_of_it_is",
    ),
    Mutation(
        "a block whose objects may cost more is counted request by request",
        "inputs/usual_lines.py",
        "is_plain=not may_cost_more(_objects(read)),",
        "is_plain=True,",
        f"{_USUAL_LINES}test_a_block_that_may_cost_more_is_counted_as_its_lines_are",
    ),
    Mutation(
        "long requests of a block are counted as long",
        "inputs/token_counts.py",
        "long = [each for each in tokens if each > LONG_TOKENS] if max(tokens) > LONG_TOKENS else []",
        "long: list[int] = []",
        f"{_USUAL_LINES}test_long_requests_are_counted_as_long_in_a_block",
    ),
    Mutation(
        "prices of providers.toml are the decimals that are written there",
        "providers/price_table.py",
        "parse_float=Decimal",
        "parse_float=float",
        "tests/unit/test_price_table.py::test_prices_are_the_decimals_that_are_written",
    ),
    Mutation(
        "a quote is rounded outwards",
        "batchdrop_cli/quote.py",
        "cost.high.quantize(_SIX, ROUND_CEILING)",
        "cost.high.quantize(_SIX, ROUND_FLOOR)",
        f"{_QUOTE}test_the_json_of_a_quote_fits_its_schema_and_has_decimals_as_text",
    ),
    Mutation(
        "a file whose most is unknown is not sent under --max-cost",
        "batchdrop_cli/quoting.py",
        "(priced.most is not None and priced.most <= max_cost)",
        "priced.most is None or priced.most <= max_cost",
        f"{_QUOTE}test_a_file_whose_most_is_unknown_is_not_sent_under_a_limit",
    ),
    Mutation(
        "--max-cost is held to the most, not to the least",
        "batchdrop_cli/quoting.py",
        "(priced.most is not None and priced.most <= max_cost)",
        "(priced.most is not None and Decimal(priced.quote.batch.low_usd) <= max_cost)",
        f"{_QUOTE}test_a_file_that_may_cost_more_than_the_limit_is_not_sent",
    ),
    Mutation(
        "a dry run sends nothing",
        "batchdrop_cli/file_commands.py",
        """    if dry_run:
        return quoting.quote_only(file, key, providers_file or local_cloud.PROVIDERS_FILE, limit)
    cloud = find_cloud(target)
""",
        """    cloud = find_cloud(target)
""",
        f"{_QUOTE}test_a_dry_run_sends_nothing",
    ),
    Mutation(
        "a limit of cost is an amount above 0",
        "batchdrop_cli/options.py",
        "return Decimal(text) if _COST.fullmatch(text) and Decimal(text) > 0 else None",
        "return Decimal(text) if _COST.fullmatch(text) else None",
        f"{_QUOTE}test_a_limit_that_is_no_amount_is_wrong_use",
    ),
    # The rooms
    Mutation(
        "no import goes against the order of the rooms, for a type checker either",
        "aws/keys.py",
        "from batchdrop.records import Batch, Job, Split\n",
        "from batchdrop.records import Batch, Job, Split\n\nif False:\n    from batchdrop.services import Services\n",
        "tests/docs/test_rooms.py::test_no_import_goes_against_the_order_of_the_rooms",
    ),
    # What is logged
    Mutation(
        "a line of a loop's unit has its job's id",
        "aws/guards.py",
        "    with working_on(job), traced(work):",
        "    with working_on(None), traced(work):",
        f"{_FAULTS}test_correlation.py::test_each_line_of_work_on_a_job_has_its_id_and_no_others",
    ),
    Mutation(
        "a line of a batch that a provider does not tell of has its job's id",
        "steps/poll.py",
        "with working_on(due.job):\n                    told",
        "with working_on(None):\n                    told",
        f"{_STEPS}test_correlation.py::test_a_batch_that_its_provider_does_not_tell_of_has_its_jobs_id",
    ),
    Mutation(
        "intake's lines have the job's id as soon as it is known",
        "steps/intake.py",
        "    name_job(job.id)\n    if not services",
        "    if not services",
        f"{_STEPS}test_correlation.py::test_intake_has_the_jobs_id_once_it_knows_it_and_forgets_it_with_the_message",
    ),
    Mutation(
        "a correlation id ends with its unit",
        "correlation.py",
        "        name_job(before)",
        "        pass",
        f"{_STEPS}test_correlation.py::test_what_a_unit_turned_out_to_be_of_ends_with_the_unit",
    ),
    Mutation(
        "an exception passes by the SDK of X-Ray",
        "aws/tracing.py",
        "            raised = error",
        "            raise",
        f"{_STEPS}test_tracing.py::test_what_a_unit_raises_goes_on_as_it_is_and_the_segment_only_says_that_it_failed",
    ),
    Mutation(
        "a call that is repeated is logged without its arguments",
        "aws/retrying.py",
        "set_on_retry_hooks([_log_retry])",
        "",
        f"{_LOGS}test_a_call_that_is_repeated_is_named_without_what_it_was_called_with",
    ),
    Mutation(
        "a list of jobs names those that only newer code can read",
        "aws/rows.py",
        "            newer(job)\n",
        "",
        "tests/cli/test_jobs.py::test_a_job_of_newer_code_is_named_and_the_others_are_shown",
    ),
    Mutation(
        "what is only put off counts as no failure",
        "../handlers/messages.py",
        "    except Transient as error:",
        "    except ZeroDivisionError as error:",
        f"{_LOGS}test_what_is_only_put_off_is_no_failure",
    ),
    Mutation(
        "the dashboard shows what waits for room at a provider",
        "limits/admission.py",
        "    measure(Measure.BATCHES_WAITING, provider, len(waiting) - admission.admitted)\n",
        "",
        f"{_STEPS}test_metrics.py::test_waiting_batches_batches_in_flight_and_tokens_are_sent_by_provider",
    ),
    # Restoring
    Mutation(
        "nothing is sent while a table is held",
        "limits/restore_hold.py",
        "return services.store.restores.current(services.settings.deployment).holds(provider)",
        "return False",
        f"{_RESTORED}test_nothing_is_sent_before_somebody_asks_and_an_alarm_tells",
    ),
    Mutation(
        "a restored table without an owner is held",
        "aws/restores.py",
        'is_new="RestoreSummary" not in described',
        "is_new=True",
        f"{_RESTORED}test_nothing_is_paid_twice_and_no_line_is_lost",
    ),
    Mutation(
        "only the owner of a table sends by it",
        "aws/restores.py",
        "if found.owner == me:",
        "if found.owner:",
        f"{_RESTORED}test_a_table_of_another_deployment_is_held_until_it_is_reconciled_and_then_by_the_other",
    ),
    Mutation(
        "nothing is reconciled before somebody asks",
        "steps/reconcile.py",
        "if not restore.asked_at:",
        "if False:",
        f"{_RESTORED}test_nothing_is_sent_before_somebody_asks_and_an_alarm_tells",
    ),
    Mutation(
        "a batch that bears a found token is taken",
        "batches/restored_batches.py",
        "or _take_found(batch, services):",
        ":",
        f"{_RESTORED}test_nothing_is_paid_twice_and_no_line_is_lost",
    ),
    Mutation(
        "results that were collected since are taken",
        "batches/restored_batches.py",
        "if take_copy(batch, services) or",
        "if",
        f"{_RESTORED}test_nothing_is_paid_twice_and_no_line_is_lost",
    ),
    Mutation(
        "a batch that was cut since is cut into the same pieces",
        "batches/restored_batches.py",
        "or not _has_pieces(batch, services):",
        "or True:",
        f"{_RESTORED}test_a_batch_that_was_cut_into_smaller_ones_since_is_not_sent_whole",
    ),
    Mutation(
        "a batch that lives tells nothing",
        "steps/reconcile.py",
        "look.live += 1",
        "look.live += 0",
        f"{_RESTORED}test_only_the_provider_whose_batches_live_is_held",
    ),
    Mutation(
        "a published job is not planned again",
        "steps/intake.py",
        "if job.dropped_at > restored_at(services):",
        "if True:",
        f"{_RESTORED}test_nothing_is_paid_twice_and_no_line_is_lost",
    ),
    Mutation(
        "a doubt of a held table is not settled by counts",
        "batches/unknown_creates.py",
        "if is_held(batch.provider, services):",
        "if False:",
        f"{_RESTORED}test_a_create_in_doubt_is_not_settled_by_counts_while_the_table_is_held",
    ),
    Mutation(
        "a held table's uploads are no orphans",
        "batches/orphaned_uploads.py",
        "if not is_over and upload.created_at <= restored_at(services) + services.settings.lease_seconds:",
        "if False:",
        f"{_RESTORED}test_request_files_of_batches_that_the_table_does_not_know_are_not_deleted",
    ),
    Mutation(
        "nothing is given up while a table is held",
        "steps/poll.py",
        " or is_held(batch.provider, services):",
        ":",
        f"{_RESTORED}test_nothing_is_given_up_while_the_table_is_held",
    ),
    Mutation(
        "a cancelled job of a held table keeps what was sent",
        "steps/cancel.py",
        "if batch.state in _UNSENT and (is_held(batch.provider, services) or take_sent(batch, services)):",
        "if False:",
        f"{_RESTORED}test_a_job_that_is_being_cancelled_keeps_what_was_sent_since",
    ),
    # Submitting
    Mutation(
        "the intent is written before the create",
        "steps/submit.py",
        _CREATE,
        _CREATE_FIRST,
        f"{_UNKNOWN}test_a_batch_whose_reply_was_lost_is_found_and_paid_once",
    ),
    Mutation(
        "a clean-up ends in time",
        "aws/bucket.py",
        """            if not has_time():
                return False
            doomed""",
        "            doomed",
        f"{_STEPS}test_cleaning_up.py::test_a_clean_up_that_takes_long_goes_on_in_the_next_sweep",
    ),
    Mutation(
        "a sweep cleans up for a part of its minute",
        "steps/sweep.py",
        "has_time=minute.may_clean) for state",
        "has_time=lambda: True) for state",
        f"{_STEPS}test_cleaning_up.py::test_what_waits_is_admitted_by_a_sweep_that_cleans",
    ),
    Mutation(
        "request files of nobody are deleted as time allows",
        "batches/orphaned_uploads.py",
        "takewhile(lambda _: has_time(), uploads)",
        "uploads",
        f"{_STEPS}test_cleaning_up.py::"
        "test_request_files_of_nobody_that_take_long_to_delete_do_not_take_the_whole_minute",
    ),
    Mutation(
        "what a killed function spooled is deleted",
        "temporary_files.py",
        "shutil.rmtree(folder, ignore_errors=True)",
        "pass",
        "tests/unit/test_temporary_files.py::test_what_a_killed_function_spooled_is_deleted_when_the_next_one_starts",
    ),
    Mutation(
        "nobody deletes what another process spools",
        "temporary_files.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        "tests/unit/test_temporary_files.py::test_what_another_process_spools_stays",
    ),
    Mutation(
        "a message says how long its chain is",
        "aws/queues.py",
        "str(self._hops + 1)",
        "str(1)",
        f"{_FAULTS}test_message_chains.py::test_each_message_says_how_long_its_chain_is",
    ),
    Mutation(
        "a chain of messages has an end",
        "aws/queues.py",
        "if self._hops < MOST_HOPS:",
        "if True:",
        f"{_STEPS}test_message_chains.py::test_no_message_is_sent_behind_the_last_of_a_chain",
    ),
    Mutation(
        "a batch that waits for a slot leaves a long chain to sweep",
        "steps/submit.py",
        "if not services.queues.may_continue:",
        "if False:",
        f"{_STEPS}test_message_chains.py::test_a_batch_that_waits_for_a_slot_in_a_long_chain_is_due_for_sweep_soon",
    ),
    Mutation(
        "nothing is admitted in a long chain",
        "limits/admission.py",
        "if not services.queues.may_continue:",
        "if False:",
        f"{_STEPS}test_message_chains.py::test_nothing_is_admitted_at_the_end_of_a_long_chain_but_by_the_next_sweep",
    ),
    Mutation(
        "a single write that meets a transaction is repeated",
        "aws/table_writes.py",
        "_code(error) in _CONFLICTS or ",
        "",
        f"{_FAULTS}test_conflicts.py::test_a_refused_create_whose_write_meets_a_transaction_is_not_in_doubt",
    ),
    Mutation(
        "a transaction that is wrong is not repeated",
        "aws/table_writes.py",
        "codes and codes <= _PASSING_REASONS",
        "codes and CONDITION not in codes",
        f"{_STORE}test_a_transaction_that_is_wrong_is_tried_once_and_is_an_error",
    ),
    Mutation(
        "a version that had a job is never taken again",
        "missed_drops.py",
        "return self._services.store.is_known_version(digest)",
        "return False",
        f"{_STEPS}test_missed_drops.py::test_a_version_whose_job_was_deleted_is_not_taken_again",
    ),
    Mutation(
        "what is older than its table is left alone",
        "missed_drops.py",
        "max(table_at, ",
        "max(",
        f"{_STEPS}test_missed_drops.py::test_what_is_older_than_the_table_is_left_alone",
    ),
    Mutation(
        "what is older than the deployment is left alone",
        "missed_drops.py",
        "listing.begun_at - _DEPLOYING, ",
        "",
        f"{_STEPS}test_missed_drops.py::test_what_may_have_had_a_job_that_nobody_knows_is_left_alone",
    ),
    Mutation(
        "what was deleted is not taken",
        "missed_drops.py",
        "if version.is_deleted or ",
        "if ",
        f"{_STEPS}test_missed_drops.py::test_a_file_that_was_deleted_is_not_taken_and_one_that_was_replaced_is",
    ),
    Mutation(
        "a listing that is cut goes on",
        "missed_drops.py",
        'return {"after": self._after}',
        "return {}",
        f"{_STEPS}test_missed_drops.py::test_a_round_that_is_cut_goes_on_behind_the_last_key",
    ),
    Mutation(
        "a 404 passes while a bucket is new",
        "errors.py",
        "return not self.is_certain and now < written_at + _VERSIONING_SECONDS",
        "return False",
        f"{_STEPS}test_bad_input.py::test_a_version_that_is_gone_before_intake_fails_with_its_reason",
    ),
    Mutation(
        "what S3 does not let be read is not tried for ever",
        "aws/bucket.py",
        "if not key.startswith(INPUT):",
        "if True:",
        f"{_STEPS}test_locked_objects.py::test_what_can_never_be_read_fails_at_intake",
    ),
    Mutation(
        "a right has its minutes from the first refusal on",
        "errors.py",
        "now < refused_at + _RIGHT_SECONDS",
        "now < written_at + _RIGHT_SECONDS",
        f"{_STEPS}test_locked_objects.py::test_a_right_has_fifteen_minutes_from_its_first_refusal_and_not_from_the_drop",
    ),
    Mutation(
        "a refusal that is over is forgotten",
        "jobs.py",
        '"refused_at": 0, ',
        "",
        f"{_STEPS}test_locked_objects.py::test_a_refusal_that_is_over_is_forgotten",
    ),
    Mutation(
        "a key that is busy is asked again",
        "aws/bucket.py",
        "return dead if code in _DEAD_KEYS else",
        "return dead if True else",
        f"{_STEPS}test_locked_objects.py::test_a_key_that_is_busy_is_asked_again",
    ),
    Mutation(
        "settings that cannot be read are not left out",
        "steps/intake.py",
        "    if isinstance(error, Locked):\n        if _may_pass",
        "    if False:\n        if _may_pass",
        f"{_STEPS}test_locked_objects.py::test_settings_that_cannot_be_read_are_not_left_out",
    ),
    Mutation(
        "a 404 of a new bucket leaves no settings out",
        "steps/intake.py",
        "if not error.is_certain:  # a new",
        "if False:  # a new",
        f"{_STEPS}test_locked_objects.py::test_settings_that_may_be_read_a_moment_later_apply",
    ),
    Mutation(
        "settings may be read a moment later",
        "steps/intake.py",
        "        if _may_pass(error, job.dropped_at, digest, services):",
        "        if False:",
        f"{_STEPS}test_locked_objects.py::test_settings_that_may_be_read_a_moment_later_apply",
    ),
    Mutation(
        "a create tells its length, and goes out in one piece",
        "providers/anthropic_client.py",
        ', "Content-Length": str(body.length)}',
        "}",
        f"{_CLIENT_REQUESTS}test_no_request_is_chunked_and_each_body_tells_its_length",
    ),
    Mutation(
        "a provider's setting escapes what ends a line for its server",
        "batches/request_files.py",
        "].escape_line_separators:",
        "].default:",
        f"{_STEPS}test_line_separators.py::test_a_server_that_splits_at_unicodes_line_ends_gets_one_line_per_request",
    ),
    Mutation(
        "the key goes where the API version documents it",
        "providers/anthropic_client.py",
        "if version >= _BEARER_SINCE",
        "if version",
        f"{_CLIENT_REQUESTS}test_anthropics_key_goes_where_the_version_of_the_call_has_it_or_where_the_headers_say",
    ),
    Mutation(
        "a create is not repeated by the SDK (OpenAI)",
        "providers/openai_client.py",
        "max_retries=0",
        "max_retries=2",
        f"{_UNKNOWN}test_a_batch_whose_reply_was_lost_is_found_and_paid_once",
    ),
    Mutation(
        "a create is not repeated by the SDK (Anthropic)",
        "providers/anthropic_client.py",
        "max_retries=0",
        "max_retries=2",
        f"{_UNKNOWN}test_a_batch_whose_reply_was_lost_is_found_and_paid_once",
    ),
    Mutation(
        "a reply that was lost is a doubt, not a refusal",
        "batches/submit_decision.py",
        "return Decision(then=Then.DOUBT,",
        "return Decision(then=Then.WAIT,",
        f"{_UNKNOWN}test_a_batch_whose_reply_was_lost_is_found_and_paid_once",
    ),
    Mutation(
        "the claim of a create checks that the job still runs",
        "steps/submit.py",
        "also=[add_intent(intent), require_state(job, JobState.RUNNING), *slot(batch, take_slot)],",
        "also=[add_intent(intent), *slot(batch, take_slot)],",
        f"{_INVARIANTS}test_a_batch_that_was_admitted_before_the_cancel_is_not_created_after_it",
    ),
    Mutation(
        "a provider's batch has one owner: its id is recorded with the move",
        "steps/submit.py",
        "also=[own_batch_id(batch, provider_id, now + WINDOW_SECONDS), *slot(batch, free_slot)],",
        "also=[*slot(batch, free_slot)],",
        f"{_INVARIANTS}test_a_create_in_doubt_does_not_take_another_jobs_batch_for_its_own",
    ),
    Mutation(
        "one create at a time for each number of requests (Anthropic)",
        "steps/submit.py",
        "require_state(job, JobState.RUNNING), *slot(batch, take_slot)],",
        "require_state(job, JobState.RUNNING)],",
        f"{_UNKNOWN}test_batches_of_one_size_are_created_one_after_the_other_at_anthropic",
    ),
    Mutation(
        "a create that is not found is not given up before the grace is over",
        "batches/unknown_creates.py",
        "if services.now() < (batch.create_by or 0) + GRACE or misses < _LISTINGS:",
        "if misses < _LISTINGS:",
        f"{_UNKNOWN}test_a_batch_that_was_never_created_is_created_after_the_grace",
    ),
    Mutation(
        "the fence: the upload is deleted before its batch is given up",
        "batches/unknown_creates.py",
        "_delete_surely(batch.input_file_id, api)  # the fence",
        "pass  # the fence",
        f"{_INVARIANTS}test_a_create_that_arrives_soon_after_it_was_given_up_finds_no_file",
    ),
    Mutation(
        "creates that were given up are watched",
        "batches/unknown_creates.py",
        "also = (watch_intent(batch),)",
        "also = ()",
        f"{_UNKNOWN}test_anthropics_create_that_arrives_after_the_grace_is_reported_as_a_duplicate",
    ),
    Mutation(
        "with another key, nothing is given up",
        "batches/unknown_creates.py",
        "if services.apis.account_id(batch.provider) != batch.account_id:",
        "if False:",
        f"{_ISOLATION}test_with_another_key_a_create_in_doubt_is_not_given_up",
    ),
    Mutation(
        "only what is proven ours is cancelled",
        "batches/transitions.py",
        "if not batch.adopted:",
        "if True:",
        f"{_ISOLATION}test_a_batch_that_is_not_proven_ours_is_never_cancelled",
    ),
    Mutation(
        "a 404 on a recorded id means nothing",
        "steps/poll.py",
        "            self._unknown += age_of(due, self._services.now()) > _VISIBLE_SECONDS\n",
        '            found = ProviderBatch(id=due.batch_id or "", ended_as="failed")\n',
        f"{_STEPS}test_poll.py::test_a_batch_that_its_provider_does_not_know_has_not_ended",
    ),
    Mutation(
        "a batch that ended is known by its results, however many requests it counts",
        "batches/unknown_creates.py",
        "return found.requests == requests or (found.ended_as is not None and found.requests < requests)",
        "return found.requests == requests",
        f"{_STEPS}test_unknown_creates.py::test_a_batch_that_lost_a_request_is_found_however_many_it_counts",
    ),
    Mutation(
        "a batch that counts fewer requests is taken only on the proof of its results",
        "batches/unknown_creates.py",
        "return is_ours(found, batch.token, api) is True",
        "return is_ours(found, batch.token, api) is not False",
        f"{_STEPS}test_unknown_creates.py::test_a_strangers_smaller_batch_that_proves_nothing_is_not_taken",
    ),
    Mutation(
        "a smaller batch whose results cannot be read holds up no doubt",
        "batches/unknown_creates.py",
        "    except (Missing, Refused):\n        return False\n\n\ndef may_hold",
        "    except ZeroDivisionError:\n        return False\n\n\ndef may_hold",
        f"{_STEPS}test_unknown_creates.py::test_smaller_batches_of_strangers_are_read_once_and_hold_up_no_doubt",
    ),
    Mutation(
        "one look at a doubt reads the results of some smaller batches only",
        "batches/unknown_creates.py",
        "islice(strangers, _MOST_READ)",
        "strangers",
        f"{_STEPS}test_unknown_creates.py::test_smaller_batches_of_strangers_are_read_once_and_hold_up_no_doubt",
    ),
    Mutation(
        "a worker whose claim ran out says nothing of a provider",
        "batches/result_copy.py",
        "        if self._services.now() >= self._batch.claimed_until:\n            raise ClaimLost\n",
        "",
        "tests/faults/test_late_workers.py::test_a_collector_that_wakes_up_too_late_pauses_no_provider",
    ),
    Mutation(
        "what a provider keeps of a batch that was collected before the restore is deleted",
        "batches/restored_batches.py",
        "        **kept,\n",
        "",
        "tests/faults/test_late_workers.py::test_what_the_provider_keeps_of_before_a_restore_is_deleted",
    ),
    Mutation(
        "uploads of before a restore are deleted once their job is over",
        "batches/orphaned_uploads.py",
        "is_over = job is not None and job.state in TERMINAL_JOBS",
        "is_over = False",
        "tests/faults/test_late_workers.py::test_what_the_provider_keeps_of_before_a_restore_is_deleted",
    ),
    # Lines as people write them
    Mutation(
        "null is absent in the envelope",
        "inputs/request_lines.py",
        "unset_nulls(envelope, _COLUMNS)",
        "pass",
        f"{_REQUEST_LINES}test_a_null_column_of_the_envelope_is_absent_in_any_combination",
    ),
    Mutation(
        "null tells no endpoint",
        "inputs/request_lines.py",
        "unset_nulls(body)",
        "pass",
        f"{_REQUEST_LINES}test_a_null_that_would_tell_another_endpoint_is_absent_and_not_sent",
    ),
    Mutation(
        "a parameter that is null is not sent",
        "inputs/request_lines.py",
        "value == NULL or (has_id",
        "(has_id",
        f"{_REQUEST_LINES}test_a_null_parameter_is_left_out_and_every_other_value_keeps_its_bytes",
    ),
    Mutation(
        "a picture that Claude cannot take is its line's error",
        "protocols/claude_rules.py",
        "    check_sources(messages)\n",
        "",
        "tests/unit/test_claude_images.py::test_a_block_of_claudes_own_that_it_cannot_take_is_refused",
    ),
    Mutation(
        "a picture in base64 is not so much text",
        "batches/packing.py",
        "tokens_of(size - media.bytes) + media.tokens",
        "tokens_of(size)",
        f"{_RESIZING}test_pictures_are_planned_by_their_own_tokens_not_by_those_of_so_much_text",
    ),
    Mutation(
        "a key that stands twice is refused",
        "inputs/request_lines.py",
        """            reject_duplicate_keys(line)
""",
        "",
        f"{_REQUEST_LINES}test_a_key_that_is_written_twice_is_refused_at_any_depth",
    ),
    Mutation(
        "what needs a beta is told at any depth",
        "protocols/claude_betas.py",
        "_check_blocks(block.content, betas, depth - 1)",
        "pass",
        f"{_REQUEST_LINES}test_a_block_that_needs_a_beta_is_refused_at_any_depth_until_the_job_names_it",
    ),
    Mutation(
        "an empty answer may be paid, and is not sent again",
        "batches/accounting.py",
        "if outcome.error.code == ErrorCode.EMPTY_ANSWER:",
        "if False:",
        f"{_STEPS}test_malformed_results.py::test_an_empty_answer_is_an_error_and_not_sent_again",
    ),
    Mutation(
        "what is configured of a model's endpoints overrules its name",
        "protocols/openai.py",
        "if endpoint in (configured or endpoints):",
        "if endpoint in endpoints:",
        f"{_REQUEST_LINES}test_where_a_model_answers_is_overruled_by_the_configuration",
    ),
    Mutation(
        "one broken record over two lines does not refuse its file",
        "inputs/file_formats.py",
        """(rest.startswith("{") and is_alone)""",
        """rest.startswith("{")""",
        f"{_FORMATS}test_a_file_of_which_the_first_line_alone_is_broken_is_read",
    ),
    Mutation(
        "one object among the lines says that they are read",
        "inputs/file_formats.py",
        "return None if any(map(_is_object, lines)) else",
        "return",
        f"{_FORMATS}test_no_line_before_good_ones_makes_the_file_another_kind",
    ),
    Mutation(
        "what tools write beside their data is no job",
        "aws/keys.py",
        """ or "_temporary" in folder.split("/")""",
        "",
        "tests/steps/test_bad_input.py::test_folder_markers_settings_and_what_tools_leave_behind_are_no_jobs",
    ),
    # State
    Mutation(
        "every move is conditional on the state",
        "aws/table_items.py",
        """    update.when("state", "=", old.state)
    update.when("epoch", "=", old.epoch)
""",
        """    update.when("epoch", "=", old.epoch)
""",
        f"{_STORE}test_a_row_in_another_state_is_not_moved_even_if_its_epoch_is_the_same",
    ),
    Mutation(
        "every move is conditional on the epoch",
        "aws/table_items.py",
        """    update.when("state", "=", old.state)
    update.when("epoch", "=", old.epoch)
""",
        """    update.when("state", "=", old.state)
""",
        f"{_STORE}test_of_two_claims_of_the_same_row_one_holds",
    ),
    Mutation(
        "the last write too: a publisher that lost its claim does not move the job",
        "steps/publish.py",
        "done = services.store.move(claimed, manifest.status,",
        "done = services.store.move(services.store.job(job_id) or claimed, manifest.status,",
        f"{_LATE}test_a_publisher_that_wakes_up_too_late_ends_quietly",
    ),
    Mutation(
        "a move that was one's own is known by its id when the reply was lost",
        "aws/table.py",
        'if found.get("moved_by") == move_id:',
        "if False:",
        f"{_STORE}test_a_move_whose_reply_was_lost_is_found_by_its_own_id",
    ),
    Mutation(
        "counters are conditional on the value that was read",
        "aws/table_items.py",
        '    update.when(counter, "=", value)\n',
        "",
        f"{_STORE}test_a_counter_moves_with_the_state_or_not_at_all",
    ),
    Mutation(
        "a claim that is held is nobody else's",
        "aws/store.py",
        "if row.claimed_until > now:",
        "if False:",
        f"{_STORE}test_a_claim_holds_until_it_ends_and_then_the_next_one_holds",
    ),
    Mutation(
        "the barrier: nothing is admitted before the whole file is planned",
        "limits/admission.py",
        "found is not None and found.state is JobState.RUNNING",
        "found is not None",
        f"{_INVARIANTS}test_nothing_is_admitted_before_the_whole_file_is_planned",
    ),
    Mutation(
        "an admitted batch whose message was lost is sent again",
        "steps/sweep.py",
        "    (Batch, BatchState.ADMITTED): _submit,\n",
        "",
        f"{_FAULTS}test_late_workers.py::test_a_step_whose_message_is_lost_is_done_all_the_same",
    ),
    # Limits
    Mutation(
        "the reservation is in the admission's transaction",
        "limits/admission.py",
        "also=take, ",
        "",
        f"{_OUTCOMES}test_batches_beyond_the_enqueued_tokens_wait_their_turn",
    ),
    Mutation(
        "a batch that ended gives its share of the limits back",
        "steps/poll.py",
        "also=[Release(batch.ledger, batch.cost, *token_sample(batch, found))],",
        "also=[],",
        f"{_OUTCOMES}test_batches_beyond_the_enqueued_tokens_wait_their_turn",
    ),
    Mutation(
        "a batch that goes back to waiting gives its share of the limits back",
        "batches/transitions.py",
        "also = (Release(batch.ledger, batch.cost), *freed, *also)",
        "also = (*freed, *also)",
        f"{_INVARIANTS}test_a_batch_that_goes_back_to_waiting_gives_its_share_back",
    ),
    Mutation(
        "a ledger is never negative",
        "aws/provider_items.py",
        'update.when_expression(f"{reserved} >= {cost}")',
        "pass",
        f"{_STORE}test_a_ledger_that_is_off_is_never_negative_and_holds_up_no_batch",
    ),
    Mutation(
        "who had its turn longest ago goes first",
        "limits/admission.py",
        "last.get(queue, 0)",
        "0",
        "tests/unit/test_admission.py::test_who_had_its_turn_longest_ago_goes_first_however_little_room_there_is",
    ),
    Mutation(
        "a refusal teaches the limit",
        "batches/refused_batches.py",
        "if judged.limit is not None:",
        "if False:",
        f"{_RESIZING}test_a_limit_that_a_refusal_tells_makes_smaller_batches",
    ),
    Mutation(
        "what replaces a batch is counted in its split",
        "batches/resizing.py",
        "to=split.open + len(smaller) - 1",
        "to=split.open",
        f"{_RESIZING}test_a_batch_that_never_fits_is_sent_to_be_replaced_and_a_repeated_message_changes_nothing",
    ),
    Mutation(
        "a ledger is set only when nothing moved between two looks",
        "limits/ledger_repair.py",
        "if ledger.suspected != ledger.moves:",
        "if ledger.suspected is None:",
        f"{_STEPS}test_ledger_repair.py::test_a_ledger_that_moved_between_two_looks_is_not_touched",
    ),
    Mutation(
        "one batch tries a paused provider",
        "limits/admission.py",
        "tries = pause.until if pause else 0",
        "tries = 0",
        f"{_STEPS}test_circuit_breaker.py::test_after_a_refused_key_one_batch_tries_the_next_and_the_others_follow",
    ),
    # Request files
    Mutation(
        "a body becomes one line where its request file is written",
        "batches/request_files.py",
        'return body if b"\\n" not in text and b"\\r" not in text else text.translate(_LINE_ENDS_TO_BLANKS)',
        "return body",
        f"{_STEPS}test_translated_requests.py::test_tool_arguments_of_many_lines_are_sent_with_their_neighbours",
    ),
    Mutation(
        "a body that was made or copied is checked where its request file is written",
        "batches/request_files.py",
        "if not is_checked:",
        "if False:",
        f"{_STEPS}test_translated_requests.py::test_a_body_that_some_cannot_read_is_not_copied_to_another_batch",
    ),
    Mutation(
        "the arguments of a tool's call are checked as a line is",
        "protocols/translate/messages.py",
        "reject_unportable_object(arguments)",
        "pass",
        f"{_STEPS}test_translated_requests.py::test_tool_arguments_that_some_cannot_read_are_that_lines_error",
    ),
    Mutation(
        "a key that stands twice in the arguments of a tool's call is refused",
        "protocols/translate/messages.py",
        "reject_duplicate_keys(arguments)",
        "pass",
        f"{_STEPS}test_translated_requests.py::test_a_key_that_is_written_twice_in_tool_arguments_is_that_lines_error",
    ),
    # Logs
    Mutation(
        "an exception's words are not logged",
        "aws/exception_log.py",
        "stacklevel=3, extra",
        "stacklevel=3, exc_info=error, extra",
        f"{_LOGS}test_a_log_line_says_what_was_raised_where_and_because_of_what",
    ),
    Mutation(
        "what leaves a function has no words",
        "../handlers/messages.py",
        "says where') from None",
        "says where') from error",
        f"{_LOGS}test_an_exception_that_quotes_a_prompt_leaves_it_in_no_log",
    ),
    Mutation(
        "a unit's failure is logged without an error of its own",
        "../handlers/messages.py",
        "sqs_message=record.message_id",
        "message=record.message_id",
        f"{_LOGS}test_no_log_line_has_a_field_that_raises",
    ),
    # Translation
    Mutation(
        "an empty object is dropped only where the vendor's document says that it means nothing",
        "protocols/translate/fields.py",
        "happens = _HAPPENS_ANYWAY.get(plain, ())",
        'happens = {*_HAPPENS_ANYWAY.get(plain, ()), b"{}"}',
        "tests/unit/translation/test_request.py::test_web_search_is_refused_with_the_tool_that_is_its_equal",
    ),
    Mutation(
        "what a model refuses is refused before it is sent, in chat lines and native ones",
        "protocols/anthropic.py",
        "check_model_rules(body, rules, betas=betas)",
        "pass",
        "tests/unit/test_claude_models.py::test_a_parameter_that_its_model_refuses_is_named",
    ),
    Mutation(
        "providers.toml overrules the table of models",
        "inputs/request_lines.py",
        "rules=rules_of(wire_model, provider.claude_models),",
        "rules=rules_of(wire_model),",
        "tests/unit/test_claude_models.py::test_providers_toml_overrules_the_table_key_by_key",
    ),
    Mutation(
        "values in a schema are no schemas",
        "protocols/claude_schemas.py",
        '_ONE, _MANY, _NAMED = ("items",),',
        '_ONE, _MANY, _NAMED = ("items", "const", "default"),',
        "tests/unit/test_claude_schemas.py::test_what_structured_output_takes_passes",
    ),
    Mutation(
        "ids that come again cost a request neither its size nor its time",
        "protocols/translate/messages.py",
        'given = f"{spelled}_{self._repeats[spelled]}"',
        'given += "_"',
        "tests/unit/test_line_complexity.py::test_a_request_is_no_multiple_of_its_line",
    ),
    # Bytes
    Mutation(
        "a manifest is never overwritten",
        "outputs/manifest_builder.py",
        "written, version_id = services.files.put_first_version(key, msgspec.json.encode(manifest))",
        "version_id = services.files.put(key, written := msgspec.json.encode(manifest)).version_id",
        f"{_LATE}test_a_publisher_that_wakes_up_too_late_ends_quietly",
    ),
    Mutation(
        "in a restored table what a split's first claim wrote before is not overwritten",
        "steps/plan.py",
        "split.epoch == _FIRST_CLAIM and job.dropped_at > restored_at(services)",
        "split.epoch == _FIRST_CLAIM",
        f"{_STEPS}test_restored_table.py::test_a_plan_of_before_the_restore_is_read_and_not_written_once_more",
    ),
    Mutation(
        "a split that was claimed before is not planned twice",
        "steps/plan.py",
        "if split.epoch == _FIRST_CLAIM and",
        "if",
        f"{_STEPS}test_call_counts.py::test_a_split_that_was_planned_by_a_worker_that_died_is_read_no_more",
    ),
    Mutation(
        "a job that became due once more is not forgotten",
        "aws/store.py",
        'update.when("due_at", "=", row.due_at)',
        "pass",
        "tests/store/test_rows.py::test_a_row_that_became_due_once_more_stays_in_the_index",
    ),
    Mutation(
        "batches that an earlier version spread over the index are found",
        "limits/ledger_repair.py",
        "    services.store.providers.gather(provider)",
        "",
        f"{_STEPS}test_call_counts.py::test_batches_of_an_earlier_version_go_their_way",
    ),
    Mutation(
        "what newer code put into the index stays where it is",
        "aws/provider_store.py",
        'update.when_expression(f"(attribute_not_exists({version}) OR {version} <= {update.value(ROW_VERSION)})")',
        "",
        "tests/store/test_rows.py::test_batches_that_an_earlier_version_spread_are_found_once_they_are_gathered",
    ),
    Mutation(
        "a job's splits are not counted where its state has changed",
        "aws/table_items.py",
        '    if isinstance(row, Job):\n        update.when("state", "=", row.state)',
        "",
        "tests/store/test_moves.py::test_a_counter_of_a_job_is_refused_where_its_state_has_changed",
    ),
    Mutation(
        "the first plan of a split stays",
        "steps/plan.py",
        "found = services.files.put_first(key, msgspec.json.encode(plan))",
        "services.files.put(key, found := msgspec.json.encode(plan))",
        f"{_INVARIANTS}test_a_planner_that_was_overtaken_leaves_the_first_plan",
    ),
    Mutation(
        "an attempt's files carry its epoch",
        "aws/keys.py",
        "{step}-{split.round}-{split.epoch}/",
        "{step}-{split.round}/",
        f"{_INVARIANTS}test_two_attempts_at_a_split_never_write_to_the_same_place",
    ),
    Mutation(
        "work/ and the rows stay until the provider's files are deleted",
        "steps/publish.py",
        "batch is not None and batch.state is BatchState.COLLECTED and batch.due_at is not None:",
        "False:",
        f"{_INVARIANTS}test_a_job_is_not_cleaned_up_before_its_provider_files_are_deleted",
    ),
    # Accounting
    Mutation(
        "only batches that were worked on to the end say how long batches take",
        "batches/completion_times.py",
        "if batch.ended_as not in _TAKEN_TO_THE_END or",
        "if",
        f"{_STEPS}test_poll.py::test_how_long_a_batch_took_is_counted_once_and_only_where_it_was_worked_on_to_the_end",
    ),
    Mutation(
        "of a batch that runs only those count that took longer",
        "batches/completion_times.py",
        "if _end_of(each) > elapsed}",
        "}",
        "tests/unit/test_completion_times.py::test_of_a_batch_that_runs_only_longer_ones_count",
    ),
    Mutation(
        "batches that wait come after those that run",
        "batches/forecast.py",
        "first.high + turns *",
        "now + turns *",
        "tests/unit/test_forecast.py::test_batches_that_wait_come_after_those_that_run",
    ),
    Mutation(
        "a line is lost only with proof",
        "batches/collect_verdict.py",
        "return Verdict(then=Then.WAIT, wait=wait,",
        "return Verdict(then=Then.ACCOUNT, wait=wait,",
        f"{_PAID}test_rows_that_are_missing_and_not_counted_are_sent_again_after_a_quarter_of_an_hour",
    ),
    Mutation(
        "only what was not answered is sent again",
        "batches/retry_rounds.py",
        "if found in kinds)",
        "if True)",
        f"{_RETRY_ROUNDS}test_only_what_expired_is_sent_again_and_nothing_is_paid_twice",
    ),
    Mutation(
        "what a round went on from is not sent again by a later one",
        "batches/retry_rounds.py",
        "return [each for each in left if each.id not in gone_on]",
        "return left",
        f"{_RETRY_ROUNDS}test_a_line_is_sent_three_times_at_most",
    ),
    Mutation(
        "a batch that the next round was not planned for is sent again by the one after it",
        "batches/retry_rounds.py",
        "if each.id not in gone_on]",
        "if each.round == split.round]",
        f"{_RETRY_ROUNDS}test_a_batch_that_ended_otherwise_than_the_next_round_was_planned_for_is_sent_again_after_it",
    ),
    Mutation(
        "a provider that does not answer takes one call of a round of sweep",
        "steps/sweep.py",
        "recover is not None and minute.may_ask(provider)",
        "recover is not None",
        f"{_STEPS}test_slow_providers.py::"
        "test_batches_in_doubt_at_a_provider_that_does_not_answer_do_not_keep_sweep_from_others",
    ),
    Mutation(
        "what a provider never ended is not sent again",
        "batches/transitions.py",
        """        close_batch(
            batch,
            BatchState.FAILED,
""",
        """        close_batch(
            batch.with_(again=batch.requests),
            BatchState.FAILED,
""",
        f"{_CANCEL}test_a_batch_that_never_ends_is_given_up_and_not_sent_again",
    ),
    # Guards and ends
    Mutation(
        "a model's name is limited in bytes",
        "inputs/request_lines.py",
        "if size > _MAX_MODEL_BYTES:",
        "if len(text) > _MAX_MODEL_BYTES:",
        f"{_ISOLATION}test_a_model_whose_bytes_are_more_than_a_key_has_room_for_is_an_error_of_its_line_only",
    ),
    Mutation(
        "one batch that cannot be admitted stops no other",
        "limits/admission.py",
        """        with guard("admit", failed=failure_of(due, services), job=due.job, unit=due.sk):
""",
        """        if True:
""",
        f"{_FAILED_UNITS}test_a_ledger_whose_batches_cannot_be_admitted_stops_no_other",
    ),
    Mutation(
        "one row that cannot be worked on stops no other (sweep)",
        "steps/sweep.py",
        'with guard("sweep", failed=failed, job=due.job, unit=due.sk), suppress(TooLate):',
        "with suppress(TooLate):",
        f"{_ISOLATION}test_a_row_that_cannot_be_healed_does_not_stop_the_others",
    ),
    Mutation(
        "a unit that fails each time is given up",
        "steps/sweep.py",
        "if row is not None and has_failed_for_good(row, services.now()):",
        "if False:",
        f"{_FAULTS}test_failed_units.py::test_a_job_that_cannot_be_planned_ends_and_says_where_to_look",
    ),
    Mutation(
        "a worker's death is a failure",
        "failures.py",
        "return row.failures + (0 < row.claimed_until <= now)",
        "return row.failures",
        f"{_FAILED_UNITS}test_a_worker_that_dies_each_time_counts_as_one_that_fails",
    ),
    Mutation(
        "a run of many units learns what the one before died of",
        "worker.py",
        "if self._lease.has_died:",
        "if False:",
        f"{_FAULTS}test_failed_units.py::test_a_job_that_cannot_be_planned_ends_and_says_where_to_look",
    ),
    Mutation(
        "a death is counted once",
        "worker.py",
        "        self._store.leases.forget_noted_work(self._lease)\n",
        "",
        f"{_IN_A_ROW}test_a_death_is_counted_once_however_many_runs_die_elsewhere_after_it",
    ),
    Mutation(
        "a job whose manifest cannot be read now does not end without it",
        "batches/failed_units.py",
        "except (Gone, msgspec.DecodeError) as error:",
        "except Exception as error:",
        f"{_FAULTS}test_failed_units.py::test_a_manifest_that_cannot_be_read_for_once_still_says_how_its_job_ended",
    ),
    Mutation(
        "a refusal reads the pieces of its batch alone",
        "batches/refused_batches.py",
        "for each in services.store.pieces(batch.job, origin_of(batch.id)):\n        if each.id != batch.id:",
        "for each in services.store.batches(batch.job, batch.split):\n"
        "        if each.id != batch.id and origin_of(each.id) == origin_of(batch.id):",
        f"{_REFUSED}test_a_refusal_costs_no_look_at_the_other_batches_of_its_split",
    ),
    Mutation(
        "a provider that does not tell of a doubt is no failure of the batch",
        "batches/unknown_creates.py",
        """        services.store.release(claimed, due_at, failures=claimed.failures)
""",
        "",
        f"{_FAULTS}test_failed_units.py::test_a_provider_that_does_not_tell_of_a_doubt_for_two_days_ends_no_batch",
    ),
    Mutation(
        "no unit waits longer than an hour",
        "failures.py",
        "min(lease << min(failures, _DOUBLINGS), LONGEST_DELAY)",
        "lease << min(failures, _DOUBLINGS)",
        f"{_FAILED_UNITS}test_the_longest_wait_of_a_unit_is_an_hour",
    ),
    Mutation(
        "a claim that is given back ends the count of failures",
        "aws/store.py",
        '({"sends": row.sends, "failures": 0} | changes)',
        '({"sends": row.sends, "failures": row.failures} | changes)',
        f"{_IN_A_ROW}test_a_claim_that_is_given_back_ends_the_count",
    ),
    Mutation(
        "a batch that was put off ends its count of failures",
        "batches/transitions.py",
        '        "failures": 0,\n',
        '        "failures": batch.failures,\n',
        f"{_IN_A_ROW}test_a_worker_that_dies_once_a_day_ends_no_batch",
    ),
    Mutation(
        "a batch that is held back goes on counting",
        "steps/submit.py",
        "back_to_waiting(held, services, failures=held.failures)",
        "back_to_waiting(held, services)",
        f"{_IN_A_ROW}test_a_batch_that_was_held_back_goes_on_counting",
    ),
    Mutation(
        "a batch whose number is taken goes on counting",
        "steps/submit.py",
        "waiting = services.store.release(batch, due_at, failures=batch.failures)",
        "waiting = services.store.release(batch, due_at)",
        f"{_IN_A_ROW}test_a_batch_whose_number_is_taken_goes_on_counting",
    ),
    Mutation(
        "a look at a doubt does not end the count",
        "batches/unknown_creates.py",
        '{"failures": batch.failures, **changes}',
        "{**changes}",
        f"{_IN_A_ROW}test_looks_at_a_create_in_doubt_neither_fail_nor_end_the_count",
    ),
    Mutation(
        "a create that never was does not end the count",
        "batches/unknown_creates.py",
        "also=also, failures=batch.failures, input_file_id",
        "also=also, input_file_id",
        f"{_IN_A_ROW}test_looks_at_a_create_in_doubt_neither_fail_nor_end_the_count",
    ),
    Mutation(
        "a batch whose worker died at cutting it goes on counting",
        "limits/admission.py",
        "counted = counted_failures(batch, now)",
        'counted = {"failures": batch.failures, "failed_at": batch.failed_at}',
        f"{_IN_A_ROW}test_a_batch_whose_cutting_fails_each_time_ends",
    ),
    Mutation(
        "a refusal that cuts a batch does not end the count",
        "batches/refused_batches.py",
        "endpoint_misses=0, failures=batch.failures",
        "endpoint_misses=0",
        f"{_IN_A_ROW}test_a_batch_whose_cutting_fails_each_time_ends",
    ),
    Mutation(
        "failures of long ago are not in a row",
        "failures.py",
        "is_recent = now - failed_at <= IN_A_ROW_SECONDS",
        "is_recent = True",
        "tests/store/test_broken_rows.py::test_failures_of_long_ago_are_not_in_a_row",
    ),
    Mutation(
        "a unit that has failed for good stays so",
        "failures.py",
        "return failures if is_recent or failures >= most_failures(state) else 0",
        "return failures if is_recent else 0",
        "tests/store/test_broken_rows.py::test_a_unit_that_has_failed_for_good_stays_so_however_long_ago",
    ),
    Mutation(
        "a claim that ran out says when",
        "failures.py",
        '"failed_at": now if failures > row.failures else row.failed_at}',
        '"failed_at": row.failed_at}',
        "tests/store/test_broken_rows.py::test_a_claim_that_ran_out_says_when",
    ),
    Mutation(
        "addresses without the call count in a row",
        "batches/submit_decision.py",
        '"waits": batch.waits + 1, "endpoint_misses": 0}',
        '"waits": batch.waits + 1}',
        f"{_IN_A_ROW}test_addresses_without_the_call_count_in_a_row",
    ),
    Mutation(
        "an account error is no attempt of its own line alone",
        "batches/retry_rounds.py",
        "yield group_again(batch, attempts=1), CHARGED",
        "yield group_again(batch, waits=1), CHARGED",
        f"{_STEPS}test_account_errors.py::test_only_the_lines_of_account_errors_go_again_for_free",
    ),
    Mutation(
        "beside an account error no line goes again that has had its attempts",
        "steps/collect.py",
        "return uncharged, charged if can_be_charged else 0",
        "return uncharged, charged",
        f"{_STEPS}test_account_errors.py::test_only_the_lines_of_account_errors_go_again_for_free",
    ),
    Mutation(
        "an account error is no attempt",
        "batches/retry_rounds.py",
        "yield group_again(batch, waits=1), UNCHARGED",
        "yield group_again(batch, attempts=1), UNCHARGED",
        f"{_STEPS}test_account_errors.py::test_only_the_lines_of_account_errors_go_again_for_free",
    ),
    Mutation(
        "the same lines do not pause their provider for ever",
        "steps/collect.py",
        "if batch.waits < _MOST_PAUSES:",
        "if True:",
        f"{_STEPS}test_account_errors.py::test_a_line_that_is_always_an_account_error_pauses_its_provider_five_times",
    ),
    Mutation(
        "a cancel does not wait for a plan that fails",
        "steps/cancel.py",
        "if job.unplanned and any(_fails_at_plan(each, services.now()) for each in splits):",
        "if False:",
        f"{_FAULTS}test_failed_units.py::test_a_cancel_ends_a_job_whose_plan_never_ends",
    ),
    Mutation(
        "a dead letter is not sent again for ever",
        "aws/queues.py",
        " if _times(each) < _MOST_REDRIVES]",
        "]",
        f"{_STEPS}test_dead_letters.py::test_a_message_that_can_never_be_handled_is_dropped_in_the_end",
    ),
    Mutation(
        "of two commands that drop the same bytes one does",
        "aws/leases.py",
        'is_free = f"attribute_not_exists({until}) OR {until} <= {update.value(now)}"',
        'is_free = f"attribute_not_exists({until}) OR {until} > {update.value(now)}"',
        "tests/cli/test_put.py::test_of_two_commands_that_drop_the_same_bytes_at_once_one_is_refused",
    ),
    Mutation(
        "a job ends at its greatest age",
        "steps/sweep.py",
        """    if now >= last_moment(job):
        reason""",
        """    if False:
        reason""",
        f"{_CANCEL}test_a_job_that_is_too_old_is_ended_with_its_reason",
    ),
    Mutation(
        "an answer is preferred to an error",
        "batches/result_index.py",
        "if _RANKS[found] > _RANKS[self.found[position]]:",
        "if True:",
        "tests/unit/test_result_index.py::test_an_answer_stands_whatever_else_is_said_of_its_request",
    ),
    Mutation(
        "a result with a custom_id that is not ours is not counted",
        "batches/accounting.py",
        "number = custom_id.partition(self._mark)[2]",
        'number = custom_id.rpartition("-")[2]',
        f"{_INVARIANTS}test_a_result_of_a_stranger_is_no_lines_result",
    ),
    Mutation(
        "results are judged by the batch's token, not by today's name of the deployment",
        "batches/accounting.py",
        "number = custom_id.partition(self._mark)[2]",
        "number = custom_id.removeprefix(self._prefix)",
        f"{_STEPS}test_renamed_deployment.py::test_what_was_sent_under_another_name_is_delivered",
    ),
    Mutation(
        "a step that meets a row of newer code goes no further",
        "aws/row_versions.py",
        "    raise NewerRow(\n",
        "    str(\n",
        f"{_STEPS}test_rollback.py::test_rows_of_newer_code_wait_untouched_while_other_jobs_go_on",
    ),
    Mutation(
        "a state that is not known is newer code's",
        "aws/row_versions.py",
        " or (isinstance(state, str) and state not in _STATES)",
        "",
        f"{_STEPS}test_rollback.py::test_rows_of_newer_code_wait_untouched_while_other_jobs_go_on",
    ),
    Mutation(
        "what is due of a job of newer code is left to that",
        "aws/rows.py",
        "        if isinstance(row, Split | Batch):\n            self.job(due.job)\n",
        "",
        f"{_STEPS}test_rollback.py::test_a_job_of_newer_code_takes_its_splits_and_batches_with_it",
    ),
    Mutation(
        "collect looks for newer code's mark before it holds a batch",
        "steps/collect.py",
        "    its_job = services.store.job(job)  #",
        "    its_job = None  #",
        f"{_STEPS}test_rollback.py::test_a_job_of_newer_code_takes_its_splits_and_batches_with_it",
    ),
    Mutation(
        "a row that is left to newer code has no failures",
        "aws/store.py",
        "if is_newer(readable_attributes(item)) or ",
        "if ",
        "tests/store/test_newer_rows.py::test_what_is_due_of_newer_code_is_not_looked_at_and_has_no_failures",
    ),
    Mutation(
        "a job's row may hold settings that are not known",
        "records.py",
        "class JobSettings(msgspec.Struct, frozen=True, kw_only=True):",
        "class JobSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):",
        f"{_STEPS}test_rollback.py::test_settings_of_newer_code_break_no_step",
    ),
    Mutation(
        "an upload of another deployment's name is never deleted",
        "batches/orphaned_uploads.py",
        " and ours == deployment:",
        " and ours:",
        f"{_STEPS}test_renamed_deployment.py::test_an_upload_of_another_name_may_be_somebody_elses_and_is_never_deleted",
    ),
    Mutation(
        "failed.jsonl has the order of errors.jsonl",
        "outputs/failed_lines.py",
        "for offset, length in zip(self._offsets, self._lengths, strict=True)\n",
        "for offset, length in reversed(list(zip(self._offsets, self._lengths, strict=True)))\n",
        f"{_WHOLE}test_ten_bad_lines_among_a_hundred_give_ninety_answers_and_ten_numbered_errors",
    ),
    # What was paid
    Mutation(
        "rows are lost only when as many came as the provider counts",
        "batches/collect_verdict.py",
        "return bool(self.missing and self.sizes) and 0 < self.counted <= self.rows(batch)",
        "return bool(self.missing and self.sizes)",
        f"{_PAID}test_an_output_file_that_is_named_late_is_waited_for",
    ),
    Mutation(
        "rows that are counted and not given are waited for as long as a file that is gone",
        "batches/collect_verdict.py",
        "left = MISSING_SECONDS - age if is_withheld else LATE_SECONDS - (now - since)",
        "left = LATE_SECONDS - (now - since)",
        f"{_PAID}test_answers_that_are_counted_and_come_hours_late_are_not_paid_again",
    ),
    Mutation(
        "rows that are counted and never come are not sent again",
        "batches/result_copy.py",
        "if not copied.malformed and not copied.gone and not is_withheld:",
        "if not copied.malformed and not copied.gone:",
        f"{_PAID}test_answers_that_are_counted_and_never_come_are_not_paid_again",
    ),
    Mutation(
        "what a provider counted once holds when it does not know the batch any more",
        "batches/result_copy.py",
        "counted=(self.told and self.told.rows) or self._batch.counted",
        "counted=(self.told and self.told.rows) or 0",
        f"{_PAID}test_answers_that_are_counted_and_never_come_are_not_paid_again",
    ),
    Mutation(
        "files are asked for again before rows are missed",
        "batches/result_copy.py",
        "            self._ask_again()\n",
        "            self.told = None\n",
        f"{_PAID}test_a_wrong_file_id_is_asked_for_again",
    ),
    Mutation(
        "what may be paid goes before what would be sent again",
        "batches/result_index.py",
        "_RANKS = (0, 1, 3, 4, 2, 1)",
        "_RANKS = (0, 2, 3, 4, 1, 1)",
        f"{_ACCOUNTING}test_what_may_be_paid_goes_before_what_would_be_sent_again",
    ),
    Mutation(
        "rows on one line are read one by one",
        "batches/accounting.py",
        "if {each.is_row for each in self._cut(text, offset)} != {True}:",
        "if text:",
        f"{_ACCOUNTING}test_a_broken_line_costs_none_beside_it",
    ),
    Mutation(
        "an id that a wrapper names beside its rows costs no row",
        "batches/accounting.py",
        "if len(rest) == len(inner):",
        "if rest:",
        f"{_ACCOUNTING}test_an_id_that_a_wrapper_names_beside_its_rows_costs_no_row",
    ),
    Mutation(
        "a row of several lines is read row by row",
        "protocols/usual_rows.py",
        "if not ({text[end - 1] for end in ends} <= _CLOSING and {text[end + 1] for end in ends} <= _OPENING):",
        "if not text:",
        f"{_USUAL_ROWS}test_what_is_not_one_row_a_line_is_not_taken",
    ),
    Mutation(
        "rows that share a line are read row by row",
        "protocols/usual_rows.py",
        "return found if len(found) == len(ends) + 1 else None",
        "return found",
        f"{_USUAL_ROWS}test_what_is_not_one_row_a_line_is_not_taken",
    ),
    Mutation(
        "rows with carriage returns are read row by row",
        "protocols/usual_rows.py",
        ' or b"\\r" in text:',
        ":",
        f"{_USUAL_ROWS}test_what_is_not_one_row_a_line_is_not_taken",
    ),
    Mutation(
        "rows that are not UTF-8 are read row by row",
        "protocols/usual_rows.py",
        "        text.isascii() or text.decode()\n",
        "",
        f"{_USUAL_ROWS}test_what_is_not_one_row_a_line_is_not_taken",
    ),
    Mutation(
        "a row with an error is no answer, whatever is beside it",
        "protocols/usual_rows.py",
        "            or line.error is not None\n",
        "",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a row whose status is no success is no answer",
        "protocols/usual_rows.py",
        "            or not 200 <= read.status_code < 300  # noqa: PLR2004 - HTTP's success\n",
        "",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a row whose answer says nothing is looked at",
        "protocols/usual_rows.py",
        "            or not read.body.object\n",
        "",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a row whose answer holds an error is looked at",
        "protocols/usual_rows.py",
        "            or read.body.error is not None\n",
        "",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a result that did not succeed is looked at",
        "protocols/usual_rows.py",
        'if row.result.type != "succeeded" or ',
        "if ",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a message that says nothing is looked at",
        "protocols/usual_rows.py",
        "row.result.message is None or not row.result.message.type",
        "row.result.message is None",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "an answer that holds an error is read by itself",
        "protocols/usual_rows.py",
        "class _Body(msgspec.Struct, gc=False):\n    object: str\n    error: None = None\n",
        "class _Body(msgspec.Struct, gc=False):\n    object: str\n",
        f"{_USUAL_ROWS}test_what_is_taken_as_an_answer_says_what_the_careful_reader_says",
    ),
    Mutation(
        "a custom_id is ours at once only as we write it",
        "batches/accounting.py",
        "len(numbers) != len(custom_ids)",
        "not numbers",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "of a position that has more digits than ours the row is looked at",
        "batches/accounting.py",
        " and lengths <= _LENGTHS_OF_NUMBERS",
        "",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a position in other digits is looked at",
        "batches/accounting.py",
        "digits.isascii() and digits.isdigit()",
        "digits.isdigit()",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a position that the batch has not is looked at",
        "batches/accounting.py",
        "return positions if max(positions) < self._requests else None",
        "return positions",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "a row that is too long is not read among others",
        "batches/accounting.py",
        "None if max(lengths) > self._max_bytes else self.usual.names(text, ends)",
        "self.usual.names(text, ends)",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "of two answers to one request the first is kept",
        "batches/result_index.py",
        "            if found[position] != answered:\n",
        "            if True:\n",
        f"{_USUAL_ROWS}test_each_fault_among_usual_rows_changes_nothing",
    ),
    Mutation(
        "an answer that is translated is read by itself",
        "outputs/assembly.py",
        "None if is_foreign else sent.answers(places, positions, self._spool)",
        "sent.answers(places, positions, self._spool)",
        f"{_ASSEMBLY}test_each_fault_among_usual_answers_changes_nothing",
    ),
    Mutation(
        "results that are long together are read in smaller blocks",
        "outputs/assembly.py",
        "if len(lines) == 1 or self._result_bytes(place, place + len(lines)) <= MOST_BYTES:",
        "if lines:",
        f"{_ASSEMBLY}test_rows_too_long_for_one_block_are_read_in_smaller_ones",
    ),
    Mutation(
        "a piece is full behind the same line, whatever is written at once",
        "outputs/split_outputs.py",
        "if self._bytes + len(text) > self._piece_bytes:",
        "if False:",
        "tests/unit/test_split_outputs.py::test_lines_that_are_written_at_once_are_cut_as_those_that_are_not",
    ),
    Mutation(
        "a request that was planned is not checked again",
        "batches/request_files.py",
        "openai.count_inputs(msgspec.Raw(body), batch.endpoint)",
        "openai.check_body(openai.read_body(msgspec.Raw(body)), batch.endpoint)",
        f"{_STEPS}test_translated_requests.py::test_a_request_that_a_newer_release_would_refuse_is_sent_again_as_it_was_planned",
    ),
    Mutation(
        "one command at a time retries the same lines",
        "batchdrop_cli/retry_once.py",
        "    if again:\n        yield []\n",
        "    if fixed is None:\n        _refuse_twice(cloud, chosen, fixed)\n        yield []\n",
        "tests/cli/test_retry.py::test_of_two_commands_that_retry_the_same_lines_at_once_one_is_refused",
    ),
    Mutation(
        "an escape of ASCII hides no key that stands twice",
        "protocols/duplicate_keys.py",
        "_ASCII_ESCAPE.search(line) is None and",
        "",
        "tests/unit/test_request_lines.py::test_a_key_that_is_written_twice_is_refused_at_any_depth",
    ),
    Mutation(
        "rows within an object are read",
        "batches/accounting.py",
        "bool(depth) and self._note_inner(piece, stream, depth)",
        "False",
        f"{_ACCOUNTING}test_rows_are_answers_in_any_layout",
    ),
    Mutation(
        "a broken line costs none behind it",
        "protocols/result_rows.py",
        """                case b"\\n":
                    self._hold(chunk[kept:at])
                    kept = at
                    yield from self.end()
""",
        """                case b"\\n":
                    pass
""",
        "tests/unit/test_result_rows.py::test_a_broken_string_costs_its_line_only",
    ),
    Mutation(
        "an answer that is nearly JSON is an answer",
        "protocols/lenient_json.py",
        "return read(on_one_line(utf8(repair(row))))",
        "raise",
        f"{_ACCOUNTING}test_an_answer_that_is_nearly_json_is_an_answer",
    ),
    Mutation(
        "an error is read whatever bytes it has",
        "providers/http_errors.py",
        "parse_error(Raw(transcode_to_utf8(body)))",
        "parse_error(Raw(body))",
        "tests/unit/test_client_responses.py::test_a_refusal_tells_its_status_and_nothing_of_what_was_said",
    ),
    Mutation(
        "an id is no longer than a key may be",
        "protocols/lenient_json.py",
        "if found and len(found.encode()) <= _LONGEST_ID else None",
        "or None",
        "tests/unit/test_client_responses.py::test_an_id_longer_than_a_key_is_no_id",
    ),
    Mutation(
        "a batch that ages is not passed over",
        "batches/poll_schedule.py",
        "(now << halvings) // longest != (last << halvings) // longest",
        "now // max(seconds, 1) != last // max(seconds, 1)",
        "tests/unit/test_poll_schedule.py::test_a_batch_that_ages_is_asked_for_by_its_id_each_third_of_its_age",
    ),
    Mutation(
        "a list is not believed for ever",
        "batches/poll_schedule.py",
        "    if age <= (usual or _UNKNOWN_USUAL):\n",
        "    if age >= 0:\n",
        f"{_STEPS}test_poll.py::test_a_batch_that_the_list_calls_unfinished_for_too_long_is_asked_for_by_its_id",
    ),
    Mutation(
        "a batch is asked for by its id before it is overdue",
        "batches/poll_schedule.py",
        "    confirmed |= _chosen(turn, lambda age: age >= overdue_after, now)\n",
        "",
        f"{_STEPS}test_poll.py::test_a_batch_is_asked_for_by_its_id_before_it_is_overdue",
    ),
    Mutation(
        "a batch is overdue after its provider's window",
        "steps/poll.py",
        "services.providers[provider].window_hours * 3_600",
        "24 * 3_600",
        f"{_STEPS}test_poll.py::test_a_batch_is_overdue_two_hours_after_its_providers_window",
    ),
    Mutation(
        "a part of what is compressed is never put behind what was not",
        "providers/http_errors.py",
        "opened(at if is_plain else 0)",
        "opened(at)",
        "tests/unit/test_downloads.py::test_what_is_compressed_and_cut_is_read_from_its_start_again",
    ),
    Mutation(
        "what was answered is published although the input is gone",
        "outputs/failed_lines.py",
        "() if self._offsets and self.unreadable else read_spans(read, spans)",
        "read_spans(read, spans)",
        f"{_STEPS}test_bad_input.py::test_answers_are_published_although_the_version_is_deleted_after_it_was_planned",
    ),
    Mutation(
        "a file that S3 refuses for the moment is not taken for deleted",
        "outputs/failed_lines.py",
        "if now < refused_at + _LOCKED_SECONDS:",
        "if False:",
        f"{_STEPS}test_locked_objects.py::test_failed_lines_wait_for_a_file_that_s3_refuses_for_the_moment",
    ),
    Mutation(
        "answers do not wait for ever for a file that S3 refuses",
        "steps/assemble.py",
        "refused_at=split.refused_at or now",
        "refused_at=now",
        f"{_STEPS}test_locked_objects.py::test_answers_are_published_a_day_after_their_file_was_refused_and_say_so",
    ),
    Mutation(
        "a file that is deleted while its failed lines are read has errors that say so",
        "outputs/failed_lines.py",
        "            raise InputUnread from error\n        for _",
        "            pass\n        for _",
        f"{_STEPS}test_bad_input.py::test_a_version_deleted_while_its_failed_lines_are_read_leaves_them_empty",
    ),
    Mutation(
        "a batch of a newer job is left alone by poll",
        "steps/poll.py",
        "    services.store.job(due.job)\n",
        "",
        f"{_STEPS}test_rollback.py::test_poll_leaves_the_batches_of_a_newer_job_as_they_are",
    ),
    Mutation(
        "a late create of a newer job is left alone",
        "batches/late_creates.py",
        "    services.store.job(intent.job)  #",
        "    #",
        f"{_STEPS}test_rollback.py::test_a_late_create_of_a_newer_job_is_looked_at_when_that_is_deployed_again",
    ),
    Mutation(
        "an upload of a newer job is no orphan",
        "batches/orphaned_uploads.py",
        "job = services.store.job(whose[0])  #",
        "job = None  #",
        f"{_STEPS}test_rollback.py::test_an_upload_of_a_newer_job_is_no_orphan",
    ),
    Mutation(
        "a batch of a newer job has no failures",
        "aws/store.py",
        " or self._is_of_newer_job(pk):",
        ":",
        f"{_STEPS}test_rollback.py::test_a_batch_of_a_newer_job_has_no_failures",
    ),
    Mutation(
        "a drop is not swallowed by another job's newer row",
        "steps/intake.py",
        "    except NewerRow:",
        "    except ZeroDivisionError:",
        f"{_STEPS}test_rollback.py::test_a_retry_of_a_newer_job_fails_with_a_reason_and_is_not_swallowed",
    ),
    Mutation(
        "a version from before versioning is deleted, and not hidden by a mark",
        "aws/bucket.py",
        'VersionId=version_id or "null")',
        "**_version(version_id))",
        f"{_STEPS}test_forget.py::test_a_version_from_before_versioning_is_deleted_and_not_only_hidden",
    ),
    Mutation(
        "the rows of batches that were given up are kept for `forget`",
        "steps/publish.py",
        "if batch is None or _was_given_up(batch):",
        "if batch is None:",
        f"{_STEPS}test_forget.py::test_what_was_given_up_at_a_provider_is_named_until_it_has_ended_there_and_then_deleted",
    ),
    Mutation(
        "a row that cannot be read is not deleted unmentioned",
        "steps/publish.py",
        "if batch is None or _was_given_up(batch):",
        "if batch is not None and _was_given_up(batch):",
        f"{_STEPS}test_forget.py::test_a_batch_whose_row_cannot_be_read_is_named_and_its_row_stays",
    ),
    Mutation(
        "a row that is kept expires with its job's",
        "aws/store.py",
        """        update.set("expires_at", expires_at)
        update.remove("due_at")""",
        """        update.remove("due_at")""",
        f"{_STEPS}test_forget.py::test_the_row_of_a_batch_that_was_given_up_expires_with_its_jobs",
    ),
    Mutation(
        "`forget` names the batches whose rows it cannot read",
        "batchdrop_cli/forget.py",
        "        if batch is None:\n            yield",
        "        if batch is None:\n            continue\n            yield",
        f"{_STEPS}test_forget.py::test_a_batch_whose_row_cannot_be_read_is_named_and_its_row_stays",
    ),
    Mutation(
        "`forget` asks what a batch became that was given up",
        "batchdrop_cli/forget.py",
        "    if found.ended_as is None:",
        "    if False:",
        f"{_STEPS}test_forget.py::test_what_was_given_up_at_a_provider_is_named_until_it_has_ended_there_and_then_deleted",
    ),
    # What the command says
    Mutation(
        "the version that an upload wrote is its job",
        "batchdrop_cli/drop.py",
        'versions.append(parsed.get("VersionId"))',
        "versions.append(None)",
        "tests/cli/test_put.py::test_the_job_is_of_the_version_that_was_uploaded_although_a_newer_one_came",
    ),
    Mutation(
        "the local cloud's events name the version",
        "local_cloud/emulator_objects.py",
        'if version_id and event["Source"] == "aws.s3":',
        'if not version_id and event["Source"] == "aws.s3":',
        "tests/local_cloud/test_event_versions.py::test_an_event_names_the_version_that_was_written",
    ),
    # The local cloud
    Mutation(
        "a web page is not answered by the emulator",
        "local_cloud/guard.py",
        'if "origin" in headers:',
        'if "origin" in {}:',
        "tests/local_cloud/test_guard.py::test_a_page_in_a_browser_is_not_answered_even_with_the_key",
    ),
    Mutation(
        "another host is not answered by the emulator",
        "local_cloud/guard.py",
        'if headers.get("host") != self._host:',
        "if not headers:",
        "tests/local_cloud/test_guard.py::test_another_host_is_not_answered",
    ),
    Mutation(
        "the emulator checks the signature",
        "local_cloud/guard.py",
        "if hmac.compare_digest(computed, signature.value):",
        "if computed:",
        "tests/local_cloud/test_guard.py::test_another_access_key_or_secret_or_token_is_not_answered",
    ),
    Mutation(
        "a signature has its time",
        "local_cloud/guard.py",
        "_check_time(signature, self._now())",
        "",
        "tests/local_cloud/test_guard.py::test_what_was_signed_long_ago_is_not_answered",
    ),
    Mutation(
        "a local cloud's folders are its owner's alone",
        "local_cloud/state.py",
        "PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600",
        "PRIVATE_FOLDER, PRIVATE_FILE = 0o755, 0o644",
        "tests/local_cloud/test_strangers.py::test_a_new_folder_is_its_owners_alone",
    ),
    Mutation(
        "workers are loaded in turn",
        "local_cloud/emulator_process.py",
        "        with loading:\n",
        "        if loading:\n",
        "tests/local_cloud/test_workers.py::test_no_more_workers_are_loaded_at_once_than_there_are_processors",
    ),
    Mutation(
        "nothing is invoked while nothing is in flight",
        "local_cloud/ticker.py",
        'any(page["Count"] for page in pages)',
        "any(pages)",
        "tests/local_cloud/test_ticker.py::test_nothing_is_invoked_while_nothing_is_due_and_at_once_when_something_is",
    ),
    Mutation(
        "a cloud that came with a folder is not taken",
        "batchdrop_cli/state_dir.py",
        "local_cloud.exists(folder) and not _is_own(folder)",
        "not local_cloud.exists(folder)",
        "tests/cli/test_state_dir.py::test_a_cloud_that_was_put_in_the_place_of_ones_own_is_not_taken",
    ),
    Mutation(
        "a number of another boot is a stranger's",
        "local_cloud/processes.py",
        'boot not in {_boot(), ""} or ',
        "",
        "tests/local_cloud/test_processes.py::test_what_a_stranger_with_the_same_number_has_left_running_is_left_alone",
    ),
    Mutation(
        "what a program has started ends with it",
        "local_cloud/processes.py",
        "                os.kill(pid, number)",
        "                os.kill(pid, 0)",
        "tests/local_cloud/test_processes.py::test_what_a_program_has_started_ends_with_it",
    ),
    Mutation(
        "a row that a full disk cuts is taken back",
        "local_cloud/emulator_state.py",
        "                self._file.truncate(before)\n",
        "",
        "tests/local_cloud/test_journal.py::test_a_write_that_a_full_disk_cuts_is_an_error_and_spoils_no_other",
    ),
    Mutation(
        "a local cloud is begun where there is room",
        "local_cloud/machine.py",
        "if free < NEEDED_BYTES:",
        "if free < 0:",
        "tests/local_cloud/test_machine.py::test_a_cloud_is_not_begun_on_a_disk_that_is_almost_full",
    ),
    Mutation(
        "the last local cloud is never replaced by AWS",
        "batchdrop_cli/state_dir.py",
        "    last = _last()\n",
        "    last = None\n",
        "tests/cli/test_state_dir.py::test_a_last_one_that_is_not_up_is_never_replaced_by_aws",
    ),
    Mutation(
        "a key is checked before it is stored",
        "batchdrop_cli/cloud_commands.py",
        "if not unchecked:",
        "if unchecked:",
        "tests/cli/test_keys.py::test_a_key_that_the_provider_refuses_changes_nothing_and_is_not_shown",
    ),
    Mutation(
        "failed lines have an exit code",
        "batchdrop_cli/words.py",
        "return LINES_FAILED if manifest.counts is not None and manifest.counts.failed else OK",
        "return OK",
        "tests/cli/test_failed_lines.py::test_the_exit_code_tells_answered_failed_and_incomplete_jobs_apart",
    ),
    Mutation(
        "half a minute in which nothing happens is told",
        "batchdrop_cli/progress.py",
        "if now - self._since < PATIENCE:",
        "if now >= self._since:",
        "tests/cli/test_waiting.py::test_a_drop_that_becomes_no_job_is_told_after_half_a_minute_with_where_to_look",
    ),
    Mutation(
        "waiting for a reason that is known is no standstill",
        "batchdrop_cli/standstill.py",
        "case JobState.RUNNING if not waits:",
        "case JobState.RUNNING:",
        "tests/cli/test_waiting.py::"
        "test_a_standstill_names_the_step_whose_turn_it_is_and_waiting_for_a_provider_is_none",
    ),
    Mutation(
        "a file of another kind is not uploaded",
        "batchdrop_cli/file_commands.py",
        "dry_run=dry_run)\n    check_kind(file, key)\n",
        "dry_run=dry_run)\n",
        "tests/cli/test_put.py::test_what_validate_refuses_as_a_whole_is_refused_before_the_upload",
    ),
    Mutation(
        "no word of a line is broken",
        "batchdrop_cli/say.py",
        "break_long_words=False",
        "break_long_words=True",
        "tests/cli/test_widths.py::test_wrapped_lines_hold_every_word_whole_and_are_short_where_words_are",
    ),
    # Any line
    Mutation(
        "whatever goes wrong while a line is read is that line's error",
        "inputs/request_lines.py",
        "except Exception as error:  # noqa: BLE001",
        "except LineProblem as error:  # noqa: BLE001",
        "tests/unit/test_any_line.py::test_a_mistake_of_ours_is_the_error_of_the_line_that_finds_it",
    ),
    Mutation(
        "a number that no double holds is refused however it is written",
        "protocols/json_text.py",
        "if len(text) > _PIECE or _may_hold_a_long_integer(text):",
        "if len(text) > _PIECE:",
        "tests/unit/test_request_lines.py::test_one_rule_holds_for_numbers_however_they_are_written",
    ),
    Mutation(
        "a parameter's name is cut in a message, and what to do stays in it",
        "protocols/translate/fields.py",
        'cut(f"{self.where}.{name}" if self.where else name, _LONGEST_PATH)',
        'f"{self.where}.{name}" if self.where else name',
        "tests/unit/test_any_line.py::test_a_parameter_with_a_long_name_is_named_by_its_beginning_and_the_remedy_is_told",
    ),
    Mutation(
        "a custom_id of thousands of digits is no position",
        "batches/accounting.py",
        '        if not re.fullmatch("[0-9]{1,9}", number):',
        "        if not number.isdecimal():",
        f"{_INVARIANTS}test_a_custom_id_of_thousands_of_digits_is_no_lines_result",
    ),
    Mutation(
        "a number in the metadata is written in digits",
        "inputs/job_settings.py",
        "if name in _NUMBERS and isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):",
        "if False:",
        "tests/unit/test_job_settings.py::test_nonsense_in_the_metadata_is_refused_with_what_would_do",
    ),
    Mutation(
        "an address has a host that may exist",
        "providers/addresses.py",
        " or not _is_host(host)",
        " or not host",
        "tests/unit/test_providers_config.py::test_an_address_has_a_host_that_may_exist",
    ),
    # Refusals
    Mutation(
        "an account's trouble is told by its words, too",
        "protocols/refusals.py",
        "if (said.startswith(phrases) if of_row else any(phrase in said for phrase in phrases))",
        "if False",
        f"{_REFUSED}test_refusals_that_are_nobodys_fault_end_no_line",
    ),
    Mutation(
        "the row of a line does not pause its provider by what it quotes",
        "protocols/refusals.py",
        "if (said.startswith(phrases) if of_row else any(phrase in said for phrase in phrases))",
        "if any(phrase in said for phrase in phrases)",
        f"{_TABLE}test_a_line_that_quotes_an_empty_account_is_no_empty_account",
    ),
    Mutation(
        "a provider's own rules are read first",
        "protocols/refusals.py",
        "        if rule.fits(status, code, said):",
        "        if False:",
        f"{_REFUSED}test_rules_in_the_configuration_tell_what_a_servers_refusals_mean",
    ),
    Mutation(
        "the first refusal that nobody knows pauses before anything is cut",
        "protocols/refusals.py",
        "        case Kind.LINES if standing.is_first and not standing.is_taken:",
        "        case Kind.LINES if False:",
        f"{_REFUSED}test_the_first_refusal_that_nobody_knows_pauses_and_is_tried_again_whole",
    ),
    Mutation(
        "a provider that takes batches is not paused for one that it refuses",
        "limits/circuit_breaker.py",
        "    if any((each.submitted_at or 0) > since for each in services.store.providers.in_flight(batch.provider)):",
        "    if False:",
        f"{_REFUSED}test_a_provider_that_takes_batches_is_not_paused_for_one_that_it_refuses",
    ),
    Mutation(
        "a model that is not taken in batches is not sent again",
        "limits/ledgers.py",
        "        ledger.refused_until > now\n",
        "        False\n",
        f"{_STEPS}test_refused_models.py::test_a_model_that_is_not_taken_in_batches_is_not_sent_again_for_a_day",
    ),
    Mutation(
        "a parameter of one line that no batch takes is no model's",
        "protocols/refusals.py",
        r'rf"(?:^|[.:;\n])\s{{0,9}}(?P<sentence>(?:the |this )?model',
        r'rf"(?P<sentence>(?:the |this )?(?:model|parameter)',
        f"{_TABLE}test_the_kind_of_a_refusal",
    ),
    Mutation(
        "others learn the sentence about a model and nothing around it",
        "batches/refused_models.py",
        "    sentence = refused_model(words)",
        "    sentence = words",
        f"{_STEPS}test_refused_models.py::test_others_learn_the_sentence_about_the_model_and_nothing_around_it",
    ),
    Mutation(
        "a field's most items are no limit of a batch",
        "protocols/refusals.py",
        ' if found["noun"].lower() == "requests" or is_of_batch else None',
        "",
        f"{_TABLE}test_a_refusal_tells_how_many_requests_a_batch_may_hold",
    ),
    Mutation(
        "a code that is a sentence is no code",
        "protocols/lenient_json.py",
        "if name is not None and _CODE.fullmatch(name) else None",
        "",
        "tests/unit/test_openai_results.py::test_a_code_that_is_a_message_is_no_code",
    ),
    Mutation(
        "a model that is refused at one endpoint is sent to the others",
        "limits/ledgers.py",
        "        and ledger.refused_at_endpoint == batch.endpoint\n",
        "",
        f"{_STEPS}test_refused_models.py::test_other_models_and_other_endpoints_are_sent",
    ),
    Mutation(
        "a refused model is believed for a day only",
        "limits/ledgers.py",
        "        ledger.refused_until > now\n",
        "        ledger.refused_until > 0\n",
        f"{_STEPS}test_refused_models.py::test_a_day_later_it_is_sent_again",
    ),
    Mutation(
        "a refused batch is cut before its lines end",
        "protocols/refusals.py",
        "Action.END if is_single or (is_hopeless and kind is not Kind.SIZE) else Action.CUT",
        "Action.END",
        f"{_REFUSED}test_a_refused_batch_is_cut_until_the_bad_line_stands_alone_and_the_others_are_answered",
    ),
    Mutation(
        "the search for bad lines ends after 64 refused pieces",
        "protocols/refusals.py",
        "is_hopeless = standing.refused >= (MOST_SEARCHED if standing.is_taken else MOST_REFUSED)",
        "is_hopeless = False",
        f"{_TABLE}test_what_becomes_of_a_refused_batch",
    ),
    Mutation(
        "the request that a refusal names goes alone",
        "batches/resizing.py",
        "    if named is not None and batch.id.count",
        "    if False and batch.id.count",
        f"{_REFUSED}test_a_refusal_that_names_one_request_of_many_ends_only_that_one",
    ),
    Mutation(
        "a server's limit of requests in a batch is learned",
        "limits/ledgers.py",
        "        or batch.requests > most_requests\n",
        "",
        f"{_REFUSED}test_a_servers_limit_of_requests_in_a_batch_is_learned",
    ),
    Mutation(
        "rounds that make progress are no waits",
        "batches/refused_batches.py",
        "        return JudgedFailure(refused=judged.refused)",
        "        return JudgedFailure(refused=judged.refused, is_final=batch.waits >= 0)",
        f"{_REFUSED}test_lines_that_were_never_blamed_do_not_end_with_anothers_error",
    ),
    Mutation(
        "the provider's words are without the key",
        "batches/refused_models.py",
        "cut(services.apis.hide_key(batch.provider, words), MAX_WORDS_BYTES)",
        "cut(words, MAX_WORDS_BYTES)",
        f"{_FAULTS}test_canaries.py::test_words_that_are_kept_for_the_results_quote_no_key",
    ),
    # Those who share
    Mutation(
        "the reason of a rejected file quotes nothing of its lines",
        "steps/plan.py",
        "self._errors.append((number, read.code))",
        "self._errors.append((number, read.message))",
        f"{_STEPS}test_bad_input.py::test_the_reason_of_a_rejected_file_quotes_nothing_of_its_lines",
    ),
    Mutation(
        "a retry lies in the folder of the job that it retries",
        "inputs/retry_lineage.py",
        "if folder_of(retry.key) != folder_of(retried.key):",
        "if False:",
        f"{_SHARED_RETRIES}test_a_retry_from_another_folder_is_refused_and_never_named_among_the_jobs_retries",
    ),
    Mutation(
        "a retry's list lies under the output of the job that it retries",
        "inputs/retry_lineage.py",
        "if retry.retry_lines is None or not retry.retry_lines.startswith(places):",
        "if False:",
        f"{_SHARED_RETRIES}test_a_retry_from_another_folder_is_refused_and_never_named_among_the_jobs_retries",
    ),
    Mutation(
        "merging asks again whether a retry belongs to the job",
        "batchdrop_cli/merge.py",
        "misfit = find_misfit(retry.job, whole.job)",
        "misfit = None",
        "tests/cli/test_retry.py::test_who_writes_elsewhere_replaces_no_answers_and_stops_nobody",
    ),
    Mutation(
        "a whole answer is replaced only where that is asked for",
        "batchdrop_cli/merge.py",
        "if not self._replace_answers and not is_cut(read_line(_encode(older))):",
        "if False:",
        "tests/cli/test_retry.py::test_a_whole_answer_is_replaced_only_where_that_is_asked_for",
    ),
    Mutation(
        "a line goes to its folder's allowed providers only",
        "inputs/request_lines.py",
        "if self._allowed is not None and provider.name not in self._allowed:",
        "if False:",
        f"{_STEPS}test_shared_folders.py::test_a_line_for_a_provider_that_its_folder_may_not_use_is_never_sent",
    ),
    Mutation(
        "a setting above its folder's ceiling is refused",
        "inputs/job_settings.py",
        "if name in sources:",
        "if False:",
        f"{_STEPS}test_shared_folders.py::"
        "test_a_file_that_asks_for_more_than_its_folders_ceiling_fails_before_it_is_paid",
    ),
    Mutation(
        "a late event of a forgotten job makes no job of it",
        "steps/intake.py",
        "if services.store.is_known_version(digest):",
        "if services.store.job_of(digest) is not None:",
        f"{_STEPS}test_forget.py::test_a_late_event_of_a_forgotten_job_makes_no_job_of_it",
    ),
    Mutation(
        "a job's row stays until nothing that it names is left",
        "batchdrop_cli/forget.py",
        "if not left:",
        "if True:",
        "tests/cli/test_forget.py::test_what_a_provider_keeps_is_named_and_the_job_is_still_known",
    ),
    Mutation(
        "another's job is cancelled only when asked twice",
        "batchdrop_cli/job_commands.py",
        "if not yes and not whose.is_own_last(cloud, job, by):",
        "if False:",
        "tests/cli/test_cancel.py::test_another_drop_than_ones_own_last_is_asked_about",
    ),
    Mutation(
        "text from elsewhere is escaped in tables",
        "batchdrop_cli/say.py",
        "[[escape(cell) for cell in row] for row in rows]",
        "[list(row) for row in rows]",
        "tests/cli/test_escapes.py::test_keys_and_reasons_of_others_are_shown_escaped",
    ),
    Mutation(
        "text from elsewhere is escaped in JSON",
        "batchdrop_cli/say.py",
        "print(escape_json(text), soft_wrap=True)",
        "print(text, soft_wrap=True)",
        "tests/cli/test_escapes.py::test_json_of_a_hostile_job_holds_no_control_characters",
    ),
    Mutation(
        "an unusual line costs its neighbours the block and no others",
        "steps/plan.py",
        "block.halves() if rows is None and may_halve and",
        "block.halves() if False and",
        "tests/unit/test_usual_lines.py::test_an_unusual_line_costs_its_neighbours_the_block_and_no_others",
    ),
    # Blocks of usual lines: what they must not take
    Mutation(
        "a block is read at once only if no name stands twice in it",
        "inputs/usual_lines.py",
        'routes is None or block.count(b":") != _count_names(counts) + _count_colons(custom_ids, read)',
        "routes is None",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with an escape of ASCII is read line by line",
        "inputs/usual_lines.py",
        "and _ASCII_ESCAPE.search(block)",
        "and False",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with a carriage return in a body is read line by line",
        "inputs/usual_lines.py",
        'or b"\\r" in text',
        "",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "each line of a block that is read at once is one value",
        "inputs/usual_lines.py",
        "if block[start] != _OPENS or last != _CLOSES:",
        "if False:",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with a part that is no text is read line by line",
        "inputs/usual_bodies.py",
        'type: Literal["text"]',
        "type: str",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block whose custom_ids are not all strings is read line by line",
        "inputs/usual_lines.py",
        "    _decode_texts(ids)\n",
        "",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a body in a block is of its endpoint's kind",
        "inputs/usual_lines.py",
        "if route is None or endpoint not in endpoints:",
        "if route is None:",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block for a server that wants escapes is read line by line",
        "inputs/usual_lines.py",
        "is_as_written = request.model == request.wire_model and not provider.escape_line_separators",
        "is_as_written = request.model == request.wire_model",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with a provider's prefix is read line by line",
        "inputs/usual_lines.py",
        "is_as_written = request.model == request.wire_model and not provider",
        "is_as_written = not provider",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with objects of any depth is checked like its lines",
        "inputs/usual_lines.py",
        "                _refuse_unportable(read, text)\n",
        "                pass\n",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block for Claude without max_tokens is read line by line",
        "inputs/usual_lines.py",
        "if body.max_tokens is UNSET\n        or body.top_p",
        "if body.top_p",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with a temperature that Claude may not take is read line by line",
        "inputs/usual_lines.py",
        "or not (takes_temperature or body.temperature is UNSET)",
        "",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with a prefilled answer is read line by line where Claude takes none",
        "inputs/usual_lines.py",
        'or not (takes_prefill or body.messages[-1].role != "assistant")',
        "",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block with tools for Claude is read line by line",
        "inputs/usual_lines.py",
        "if isinstance(read[0], NestedChat) and any(",
        "if False and any(",
        f"{_USUAL_LINES}test_what_is_not_usual_is_read_line_by_line",
    ),
    Mutation(
        "a block goes into a batch only if all of it has room",
        "batches/packing.py",
        "if filled is None or room is None or not _has_room(filled, room, load):",
        "if filled is None or room is None:",
        f"{_USUAL_LINES}test_a_block_that_does_not_fit_into_its_batch_fills_it_first",
    ),
    Mutation(
        "a block does not pass the limit of a split's lines",
        "steps/plan.py",
        "if usual is None or self._lines + len(usual.lengths) > self._services.settings.lines_per_split:",
        "if usual is None:",
        f"{_USUAL_LINES}test_too_many_lines_are_too_many_in_blocks",
    ),
    Mutation(
        "a block beyond a split's end is cut there",
        "inputs/split_lines.py",
        "if isinstance(each, Block) and each.end > split.end:",
        "if False:",
        "tests/unit/test_jsonl.py::test_a_split_has_the_same_lines_in_blocks_and_reads_no_more",
    ),
)


def source_of(mutation: Mutation, root: Path = ROOT) -> Path:
    return root / (
        mutation.file if _package_of(mutation) in _OTHER_PACKAGES else f"functions/batchdrop/{mutation.file}"
    )


def _package_of(mutation: Mutation) -> str:
    return mutation.file.partition("/")[0]


def _run(mutation: Mutation) -> str:
    """What became of the rule's test without the rule: `caught`, or why not."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for package in {"functions", _package_of(mutation)} & {"functions", *_OTHER_PACKAGES}:
            shutil.copytree(ROOT / package, root / package)  # compiled code, too: files keep their times
        path = source_of(mutation, root)
        text = path.read_text(encoding="utf-8")
        if text.count(mutation.old) != 1:
            return f"NOT FOUND: its line is {text.count(mutation.old)} times in {mutation.file}"
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        return _tested(mutation.test, root)


def _tested(test: str, root: Path) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root / 'functions'}{os.pathsep}{root}",  # before the project's own
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    }
    # -P: the folder that this runs in, the project's own, does not come before the copy.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", test]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode == _FAILED:
        return "caught"
    return "NOT CAUGHT" if done.returncode == 0 else f"NOT RUN: {done.stdout.decode()[-400:]}"


def main(wanted: Iterable[str]) -> int:
    """Run the mutations whose rule or file holds one of these words; all of them when there are none."""
    words = list(wanted)
    chosen = [each for each in MUTATIONS if not words or any(word in f"{each.rule} {each.file}" for word in words)]
    failed = 0
    sys.stdout.write("| rule | test | |\n|---|---|---|\n")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutation, said in zip(chosen, pool.map(_run, chosen), strict=True):
            failed += said != "caught"
            sys.stdout.write(f"| {mutation.rule} | `{mutation.test.rpartition('::')[2]}` | {said} |\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} mutations, {len(chosen) - failed} caught\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
