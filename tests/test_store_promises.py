"""docs/store.md says what happens when something fails: each line of its table has tests that hold it.

Whoever adds a line, or renames a test, comes by here.
"""

import ast
import re
from pathlib import Path

import pytest

from orchestrator.cluster.interruption import ONE_WITHIN_S
from orchestrator.driver.claims import CLAIM_LIVES_FOR_S
from orchestrator.driver.guard import UNUSABLE_S
from orchestrator.driver.retries import DELAY_FACTOR, FIRST_DELAY_S, MACHINE_ATTEMPTS
from orchestrator.language.sweep import Sweep
from orchestrator.store.signs import DEAD_AFTER_S
from orchestrator.worker.run import WAITS_S

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parent / "docs" / "store.md").read_text()
LINES = re.findall(
    r"^\| (?!\.\.\.)(.+?) \| .+ \|$", DOCUMENT.partition("## What happens when")[2], re.MULTILINE
)
"""The left cells of the table."""

HELD: dict[str, list[str]] = {
    "a worker is killed, its node dies, Ray kills it for memory": [
        "orchestrator/driver/test_retries.py::test_what_the_machine_did_is_tried_again_later_and_later_and_elsewhere",
        "orchestrator/driver/test_retries.py::test_random_deaths_wear_no_trial_out_that_makes_progress",
        "orchestrator/planning/test_scheduling.py::test_what_comes_back_waits_for_its_time_and_avoids_its_node",
        "orchestrator/driver/test_run.py::test_a_worker_killed_in_the_middle",
        "orchestrator/cluster/test_cluster.py::test_a_node_is_removed_then_the_head_is_lost_and_a_new_cluster_resumes",
        "orchestrator/driver/test_faults.py::test_workers_that_ray_kills_for_memory_fail_their_trials_but_not_for_ever",
    ],
    "a worker gets SIGTERM": [
        "orchestrator/driver/test_faults.py::test_a_preempted_worker_saves_at_its_next_step",
        "orchestrator/worker/test_hearing.py::test_a_worker_that_waits_for_its_store_hears_that_it_must_leave",
        "orchestrator/driver/test_sweep_run.py::test_a_job_whose_places_are_lost_is_handed_out_anew_and_no_other_is_stopped",
    ],
    "a trial raises": [
        "orchestrator/driver/test_retries.py::test_an_error_at_the_same_place_is_final_the_second_time",
        "orchestrator/driver/test_misbehaving.py::test_only_what_misbehaves_fails",
    ],
    "memory runs out inside a trial": [
        "orchestrator/worker/test_causes.py::test_memory_that_torch_cannot_get_is_out_of_memory",
        "orchestrator/driver/test_retries.py::test_what_the_machine_did_is_tried_again_later_and_later_and_elsewhere",
        "orchestrator/driver/test_misbehaving.py::test_only_what_misbehaves_fails",
    ],
    "a loss is not a number": [
        "orchestrator/driver/test_retries.py::test_what_comes_back_for_certain_is_not_tried_again",
        "trainer/test_lockstep.py::test_a_member_that_diverges_leaves_and_the_others_go_on",
        "orchestrator/driver/test_run.py::test_a_trial_that_fails_blocks_only_what_depends_on_it",
    ],
    "no step ends for `heartbeat_minutes`": [
        "orchestrator/driver/test_overdue.py::test_silence_is_counted_from_the_last_change",
        "orchestrator/driver/test_sweep_run.py::test_a_hung_job_is_ended_though_nothing_can_be_printed",
        "orchestrator/driver/test_reaper.py::test_it_tells_where_it_hung_and_is_gone",
        "orchestrator/driver/test_faults.py::test_a_worker_that_hangs_is_killed_and_tried_again_though_its_clock_is_days_behind",
    ],
    "a job takes longer than `time_limit_minutes`": [
        "orchestrator/driver/test_overdue.py::test_the_time_limit_is_for_each_trial_of_a_job",
        "orchestrator/driver/test_retries.py::test_what_comes_back_for_certain_is_not_tried_again",
        "orchestrator/driver/test_misbehaving.py::test_only_what_misbehaves_fails",
    ],
    "the disk is full": [
        "trainer/test_disk.py::test_a_trial_whose_disk_is_full_goes_on_once_there_is_space",
        "orchestrator/driver/test_retries.py::test_what_the_machine_did_is_tried_again_later_and_later_and_elsewhere",
        "orchestrator/planning/test_plan.py::test_what_the_machine_did_is_tried_again_by_any_run",
        "orchestrator/worker/test_after_the_row.py::test_no_log_fails_a_trial_and_its_file_is_tried_again",
        "orchestrator/driver/test_sweep_run.py::test_one_that_can_give_no_sign_on_a_full_disk_counts_as_hung",
        "orchestrator/driver/test_sweep_run.py::test_a_full_disk_is_borne_as_long_as_it_is_full",
        "orchestrator/driver/test_full_disk.py::test_a_run_on_a_disk_that_fills_up",
    ],
    "data cannot be read on a node": [
        "orchestrator/worker/test_causes.py::test_causes_of_exceptions",
        "orchestrator/driver/test_retries.py::test_what_the_machine_did_is_tried_again_later_and_later_and_elsewhere",
        "orchestrator/cluster/test_jobs.py::test_data_that_become_unreadable_on_one_node",
    ],
    "the store fails for a moment": [
        "orchestrator/store/test_patience.py::test_what_passes_is_tried_again",
        "orchestrator/driver/test_failing_store.py::test_one_error_anywhere_costs_nothing_but_another_try",
        "orchestrator/driver/test_failing_store.py::test_the_same_of_a_run_with_ray",
    ],
    "the store is read-only for a while, or its mount is gone": [
        "orchestrator/driver/test_failing_store.py::test_training_goes_on_while_its_store_is_away",
        "orchestrator/store/test_patience.py::test_waits_grow_and_end_in_time",
        "orchestrator/driver/test_failing_store.py::test_where_nothing_is_tried_again_at_once_an_error_costs_at_most_an_attempt",
        "orchestrator/store/test_patience.py::test_a_store_whose_mount_is_gone_is_waited_for",
        "orchestrator/store/test_patience.py::test_no_log_is_written_below_a_mount_that_is_gone",
        "orchestrator/driver/test_sweep_run.py::test_a_store_that_can_be_read_but_not_written_is_noticed_and_nobody_hangs_for_it",
        "orchestrator/driver/test_guard.py::test_a_store_that_refuses_for_a_while_is_told_once_and_borne",
        "orchestrator/driver/test_guard.py::test_a_store_that_refuses_for_good_ends_the_run",
        "orchestrator/driver/test_failing_store.py::test_a_run_whose_store_stays_unusable_was_stopped_and_goes_on_later",
        "orchestrator/driver/test_failing_store.py::test_a_store_that_takes_nothing_is_told_before_anything_runs",
    ],
    "anything fails after a row was written": [
        "orchestrator/worker/test_after_the_row.py::test_an_error_behind_the_row_fails_nothing",
        "orchestrator/worker/test_after_the_row.py::test_a_row_whose_writing_seemed_to_fail_is_a_row",
    ],
    "the weights that a trial needs are damaged": [
        "orchestrator/driver/test_retries.py::test_weights_that_cannot_be_read_are_read_once_more_elsewhere",
        "orchestrator/upkeep/test_maintenance.py::test_damaged_weights_are_the_machine_s_fault_and_made_again",
        "orchestrator/driver/test_faults.py::test_damaged_weights_block_only_what_needs_them_and_any_run_mends_it",
    ],
    "the weights that a trial needs are gone": [
        "orchestrator/upkeep/test_maintenance.py::test_a_plan_tells_of_weights_that_are_gone_and_a_run_asks_for_a_disk_that_is",
        "orchestrator/upkeep/test_maintenance.py::test_weights_that_are_gone_all_the_same_are_made_again",
        "orchestrator/planning/test_plan.py::test_a_trial_stands_after_what_it_depends_on",
    ],
    "`checkpoints/` is empty, absent, or a link that leads nowhere": [
        "orchestrator/upkeep/test_maintenance.py::test_a_plan_tells_of_weights_that_are_gone_and_a_run_asks_for_a_disk_that_is",
        "orchestrator/upkeep/test_maintenance.py::test_a_mount_point_without_its_disk_is_not_taken_for_lost_weights",
        "orchestrator/upkeep/test_maintenance.py::test_weights_on_a_disk_that_is_not_mounted_are_not_taken_for_gone",
    ],
    "a run begins, or makes a trial again, while `prune` is at work": [
        "orchestrator/upkeep/test_maintenance.py::test_what_a_run_has_in_hand_by_then_is_not_forgotten_as_damaged",
        "orchestrator/upkeep/test_maintenance.py::test_what_was_made_again_since_it_was_seen_damaged_stays",
        "orchestrator/upkeep/test_maintenance.py::test_checkpoints_stay_of_what_a_run_begins_while_others_go",
        "orchestrator/upkeep/test_maintenance.py::test_weights_that_come_to_be_needed_before_they_go_stay",
        "orchestrator/driver/test_races.py::test_prune_leaves_the_weights_of_what_just_ended",
    ],
    "rows are dropped, or written again, while a store is compacted": [
        "orchestrator/store/test_drops.py::test_rows_dropped_or_written_again_while_a_compaction_runs",
        "orchestrator/store/test_drops.py::test_rows_are_dropped_while_another_rewrites",
        "orchestrator/driver/test_races.py::test_what_a_compaction_has_read_and_prune_has_dropped_does_not_come_back",
    ],
    "the driver is killed, the head is lost": [
        "orchestrator/driver/test_run.py::test_a_driver_killed_in_the_middle",
        "orchestrator/cluster/test_cluster.py::test_a_node_is_removed_then_the_head_is_lost_and_a_new_cluster_resumes",
        "orchestrator/cluster/test_jobs.py::test_a_sweep_begun_on_a_laptop_is_finished_by_a_cluster",
    ],
    "requests to an object store are dropped": [
        "orchestrator/store/test_faulty_stores.py::test_an_answer_that_is_empty_or_short_is_none",
        "orchestrator/store/test_faulty_stores.py::test_a_file_is_put_whole_or_not_at_all",
        "orchestrator/store/test_faulty_stores.py::test_readers_under_compaction_lose_no_row",
        "orchestrator/store/test_faulty_stores.py::test_a_whole_sweep",
    ],
    "a file seems broken to `verify` or `prune damaged`": [
        "orchestrator/upkeep/test_maintenance.py::test_one_bad_answer_is_no_damage",
        "orchestrator/upkeep/test_maintenance.py::test_one_bad_answer_removes_nothing",
        "orchestrator/upkeep/test_maintenance.py::test_prune_takes_out_what_was_read_damaged_twice_and_twice_more",
    ],
    "the driver of a local run gets SIGKILL": [
        "orchestrator/cluster/test_own_ray.py::test_nobody_else_reaches_a_local_ray_and_it_dies_with_a_driver_that_is_killed",
    ],
    "two drivers run on one store": [
        "orchestrator/driver/test_claims.py::test_what_another_run_claims_is_held_until_it_is_finished_or_let_go",
        "orchestrator/planning/test_scheduling.py::test_what_is_held_or_finished_elsewhere_is_not_started",
        "orchestrator/driver/test_sweep_run.py::test_a_job_that_another_driver_has_claimed_meanwhile_is_given_back",
        "orchestrator/driver/test_faults.py::test_two_drivers_on_one_store_that_is_looked_after_meanwhile",
    ],
    "clocks of machines differ": [
        "orchestrator/store/test_signs.py::test_one_that_does_not_change_is_believed_for_its_life_and_no_longer",
        "orchestrator/store/test_store.py::test_the_last_failure_of_each_trial_counts_whatever_clocks_say",
        "orchestrator/store/test_drops.py::test_rows_dropped_or_written_again_while_a_compaction_runs",
        "orchestrator/driver/test_faults.py::test_a_worker_that_hangs_is_killed_and_tried_again_though_its_clock_is_days_behind",
        "orchestrator/driver/test_faults.py::test_two_drivers_on_one_store_that_is_looked_after_meanwhile",
    ],
    "two workers compute one trial": [
        "orchestrator/worker/test_two_workers.py::test_the_slower_leaves_the_progress_of_the_faster",
        "orchestrator/worker/test_two_workers.py::test_the_slower_ends_as_it_would_alone_though_the_faster_has_finished",
        "orchestrator/worker/test_two_workers.py::test_of_two_that_save_in_turns_the_last_checkpoints_are_kept",
    ],
    "a driver or a whole job is stopped or frozen": [
        "orchestrator/driver/test_sweep_run.py::test_time_in_which_the_driver_was_stopped_is_neither_silence_nor_working_time",
        "orchestrator/driver/test_guard.py::test_an_hour_in_which_the_driver_was_stopped_is_no_hour_of_a_refusing_store",
        "orchestrator/store/test_patience.py::test_an_hour_in_which_the_process_was_stopped_is_no_hour_of_patience",
        "orchestrator/store/test_signs.py::test_time_in_which_nobody_looked_does_not_count",
    ],
    "all nodes are lost that a retried job may run on": [
        "orchestrator/driver/test_sweep_run.py::test_a_job_whose_places_are_lost_is_handed_out_anew_and_no_other_is_stopped",
        "orchestrator/driver/test_withdrawing.py::test_what_waits_for_a_lost_place_goes_elsewhere_and_what_works_is_not_disturbed",
    ],
    "a batch system sends SIGUSR1 or SIGUSR2 to a worker": [
        "orchestrator/driver/test_reaper.py::test_warnings_of_batch_systems_neither_end_it_nor_make_it_leave",
        "orchestrator/worker/test_hearing.py::test_a_worker_that_waits_for_its_store_hears_that_it_must_leave",
        "orchestrator/driver/test_faults.py::test_a_preempted_worker_saves_at_its_next_step",
    ],
    "Ctrl-C, SIGTERM, SIGUSR1, SIGUSR2, a terminal that closes": [
        "orchestrator/cluster/test_interruption.py::test_each_of_them_stops_in_order_once",
        "orchestrator/cluster/test_interruption.py::test_signals_within_two_seconds_are_one",
        "orchestrator/cluster/test_interruption.py::test_the_signal_of_a_closing_terminal_is_left_ignored_where_it_was",
        "orchestrator/driver/test_run.py::test_stopped_by_a_signal_and_run_again",
        "orchestrator/driver/test_resume.py::test_left_at_once_then_started_over_in_part_then_run",
        "orchestrator/cluster/test_own_ray.py::test_a_signal_is_heard_while_ray_shuts_down",
        "orchestrator/driver/test_signals_when_done.py::test_a_signal_gives_3_and_0_where_all_is_done",
        "orchestrator/driver/test_faults.py::test_a_deadline_saves_and_leaves_in_time",
        "orchestrator/driver/test_signals.py::test_a_signal_before_anything_runs",
        "orchestrator/driver/test_signals.py::test_a_whole_group_is_signalled_then_ray_dies_twice_and_nothing_is_lost",
    ],
    "Ray's control process or the raylet of this machine dies": [
        "orchestrator/driver/test_signals.py::test_a_whole_group_is_signalled_then_ray_dies_twice_and_nothing_is_lost",
        "orchestrator/cluster/test_vigil.py::test_a_head_that_refuses_again_and_again_is_lost_and_once_is_not",
        "orchestrator/cluster/test_vigil.py::test_a_main_thread_that_does_not_come_back_is_ended_with_its_process",
        "orchestrator/cluster/test_interruption.py::test_a_lost_ray_is_raised_in_the_main_thread",
    ],
    "the disk for temporary files": [
        "orchestrator/driver/test_scratch.py::test_a_full_disk_under_tune_stops_the_run_and_is_told_in_a_line",
        "orchestrator/driver/test_scratch.py::test_a_run_whose_temporary_files_find_no_space_goes_on_later",
    ],
    "a node joins that lacks": [
        "orchestrator/driver/test_newcomers.py::test_what_a_node_lacks_is_told_in_one_line_and_it_is_asked_again_later",
        "orchestrator/driver/test_newcomers.py::test_one_bad_node_after_the_other_is_hopeless_where_no_other_is_there",
        "orchestrator/driver/test_sweep_run.py::test_a_job_that_its_node_cannot_run_goes_elsewhere_and_no_attempt_is_counted",
        "orchestrator/driver/test_sweep_run.py::test_a_run_on_which_every_node_that_comes_lacks_something_is_stopped",
        "orchestrator/cluster/test_joining.py::test_nodes_that_join_are_asked_before_they_get_a_job",
    ],
    "no node is there that could take any of the jobs": [
        "orchestrator/driver/test_waiting.py::test_what_is_waited_for_is_told_now_and_then_and_ends",
        "orchestrator/driver/test_waiting.py::test_a_queue_behind_others_is_told_and_never_ended",
    ],
    "the store cannot be written when a run begins": [
        "orchestrator/cli/test_where_things_are.py::test_a_store_that_cannot_be_written_is_refused_before_anything_starts",
        "orchestrator/cli/test_where_things_are.py::test_asking_whether_a_store_can_be_written_makes_none",
        "orchestrator/store/test_refused_stores.py::test_a_command_tells_it_in_one_line_with_exit_code_2",
    ],
    "a plot cannot be drawn, or a result not be read, after a run": [
        "orchestrator/driver/test_failing_store.py::test_a_plot_that_cannot_be_drawn_is_a_warning",
        "orchestrator/driver/test_failing_store.py::test_results_that_cannot_be_shown_change_no_exit_code",
        "orchestrator/driver/test_failing_store.py::test_a_stopped_run_says_how_to_go_on_though_its_results_are_damaged",
        "orchestrator/driver/test_failing_store.py::test_damage_is_told_by_the_exit_code_where_that_has_nothing_else_to_tell",
    ],
    "nothing can be printed": [
        "orchestrator/driver/test_sweep_run.py::test_a_hung_job_is_ended_though_nothing_can_be_printed",
        "orchestrator/driver/test_sweep_run.py::test_a_deadline_and_a_signal_are_kept_though_nothing_can_be_printed",
        "orchestrator/driver/test_failing_store.py::test_a_run_that_can_show_nothing_ends_by_what_ended_it",
        "orchestrator/driver/test_failing_store.py::test_an_exit_code_stands_where_nothing_can_be_written",
        "orchestrator/cli/test_usage.py::test_a_run_goes_on_when_its_reader_has_left",
    ],
}
"""First words of a line, and the tests that hold what it says, clause by clause."""


def test_every_line_has_its_tests_and_every_entry_its_line() -> None:
    assert len(LINES) > 30
    entries = {line: [words for words in HELD if line.startswith(words)] for line in LINES}
    assert {line: words for line, words in entries.items() if len(words) != 1} == {}
    assert [words for (words,) in entries.values()] == list(HELD), "in the order of the document"


def names_of_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("words", HELD)
def test_every_test_of_a_line_is_there(words: str) -> None:
    assert HELD[words]
    for test in HELD[words]:
        file, _, name = test.partition("::")
        assert name in names_of_tests(TESTS / file), test


IN_WORDS = {1: "a", 2: "two", 3: "three", 10: "ten"}


def test_the_numbers_are_those_of_the_code() -> None:
    waits = [FIRST_DELAY_S * DELAY_FACTOR**number for number in range(MACHINE_ATTEMPTS - 1)]
    heartbeat, often = (
        Sweep.model_fields[name].default
        for name in ("heartbeat_minutes", "checkpoint_every_minutes")
    )
    for told in (
        f"tried again after {', '.join(f'{wait:.0f}' for wait in waits)} seconds",
        f"after {MACHINE_ATTEMPTS} attempts without progress it has failed",
        f"no step ends for `heartbeat_minutes` ({heartbeat:.0f})",
        f"`checkpoint_every_minutes` ({often:.0f})",
        f"a worker waits {IN_WORDS[round(WAITS_S / 60)]} minutes for what it has to keep",
        f"A run bears it for {IN_WORDS[round(UNUSABLE_S / 60)]} minutes",
        f"Once more after {IN_WORDS[round(ONE_WITHIN_S)]} seconds: at once",
        f"unchanged for {IN_WORDS[round(DEAD_AFTER_S / 60)]} minute "
        f"(a driver's claim: {IN_WORDS[round(CLAIM_LIVES_FOR_S / 60)]})",
    ):
        assert told in DOCUMENT, told
