"""The rules of reliability and security, R1 to R28, each with the tests that prove it.

An index: what each rule says in short, and where it is proven. A test that is renamed, or no longer collected, fails
here. Rules that hold in another way than first planned are told in docs/adr/0014.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

RULES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "R1": (
        "a client's body, headers, silence and number are bounded",
        (
            "web/test_connection.py::test_headers_that_do_not_end_are_cut",
            "web/test_connection.py::test_a_body_that_does_not_end_is_cut",
            "web/test_connection.py::test_an_unread_body_is_not_waited_for",
            "web/test_connection.py::test_above_the_cap_who_lets_us_wait_longest_goes",
            "web/test_connection.py::test_slow_clients_do_not_slow_the_good_ones",
            "web/test_connection.py::test_smuggled_requests_are_not_served",
            "web/test_webhook.py::test_a_bomb_goes_off_outside",
            "test_rules_limits.py::test_a_client_s_bounds_are_those_of_the_rule",
            "test_rules_limits.py::test_the_unit_has_files_for_four_times_the_connections",
        ),
    ),
    "R2": (
        "size, type, authenticity, shape, one call to Redis, answer; 202 only where it is kept",
        (
            "web/test_webhook.py::test_what_is_too_large_is_refused_first",
            "web/test_webhook.py::test_the_unproven_is_refused_before_its_json_is_judged",
            "store/test_connection.py::test_a_redis_without_append_only_file_is_refused",
            "test_story.py::test_a_lead_comes_in_and_its_contact_knows_the_house",
        ),
    ),
    "R3": (
        "Redis not there: 429 within its time, or the spool on disk and 202",
        (
            "web/test_webhook.py::test_without_redis_the_sender_must_come_again",
            "test_rules_redis.py::test_a_silent_redis_is_answered_for_within_its_time",
            "store/test_spool.py::test_without_redis_a_lead_is_kept_and_becomes_the_job_that_was_answered",
            "store/test_spool.py::test_without_redis_and_without_disk_nothing_is_answered",
        ),
    ),
    "R4": (
        "new leads stop at 80 % of Redis' memory, what is in hand ends",
        (
            "store/test_memory.py::test_above_the_mark_new_leads_are_refused_and_the_rest_goes_on",
            "test_rules_redis.py::test_short_of_memory_no_lead_is_taken_and_it_shows",
        ),
    ),
    "R5": (
        "a delivery is known for its window; times far in the future are not believed",
        (
            "test_events_table.py::test_a_delivery_seen_before_answers_the_first_job",
            "store/test_events_table.py::test_a_delivery_is_known_for_its_window_whatever_became_of_the_job",
            "web/test_webhook.py::test_a_time_far_in_the_future_is_not_believed",
        ),
    ),
    "R6": (
        "who waits has its own connection and is not cancelled; commands end in 2 s, nothing below us repeats them",
        (
            "test_rules_limits.py::test_no_command_waits_longer_than_two_seconds_and_none_is_repeated",
            "store/test_connection.py::test_a_wait_is_ended_from_outside",
            "store/test_connection.py::test_a_connection_that_is_dead_without_a_word_is_given_up",
            "store/test_cancelled.py::test_a_cancellation_is_never_lost",
        ),
    ),
    "R7": (
        "every change of state is one script, fenced by its token, safe to send twice",
        (
            "store/test_fences.py::test_a_worker_that_lost_its_lease_writes_nothing",
            "store/test_fences.py::test_endings_sent_twice_are_one",
            "store/test_fences.py::test_leads_sent_twice_are_queued_once",
            "store/test_fences.py::test_tokens_of_a_job_only_grow",
            "store/test_model.py::test_three_queues_agree_on_everything",
        ),
    ),
    "R8": (
        "a lease ends when its beat stands still, not when a clock says so",
        (
            "store/test_leases.py::test_a_moving_lease_is_never_taken",
            "store/test_leases.py::test_a_lease_of_another_generation_is_never_taken",
            "store/test_limiter.py::test_a_clock_set_back_moves_the_bookings_with_it",
            "providers/test_shutter.py::test_a_jump_of_the_wall_clock_neither_opens_it_nor_keeps_it_shut",
        ),
    ),
    "R9": (
        "suspects of a crash run alone; only who crashed alone is charged",
        (
            "store/test_leases.py::test_only_a_job_that_ran_alone_is_charged",
            "store/test_leases.py::test_suspects_run_one_at_a_time_in_a_process_that_does_nothing_else",
            "test_adversity.py::test_a_poison_lead_is_put_aside_and_no_neighbour_is_charged",
        ),
    ),
    "R10": (
        "endings work without memory, new leads do not",
        ("store/test_connection.py::test_when_redis_is_full_what_is_in_hand_ends_and_nothing_new_comes_in",),
    ),
    "R11": (
        "nobody is removed while something is in his hands: there are no consumers, and leases are taken back by token",
        (
            "store/test_leases.py::test_what_is_not_held_cannot_be_taken",
            "store/test_leases.py::test_a_restarted_worker_takes_back_its_own_leases_at_once",
        ),
    ),
    "R12": (
        "a paid call: intent, call, result; an intent without a result is counted and shown",
        (
            "store/test_leases.py::test_an_intent_without_a_result_is_an_unknown_purchase",
            "store/test_purchases.py::test_a_call_whose_answer_was_lost_may_have_been_paid",
            "store/test_purchases.py::test_without_a_written_intent_nothing_is_asked_and_no_credit_spent",
            "store/test_views.py::test_an_unknown_purchase_is_shown_at_its_step",
            "test_crash_matrix.py::test_a_death_costs_nothing_but_what_it_says",
        ),
    ),
    "R13": (
        "what was written is read before it is written again; one send a call",
        (
            "enrich/test_pipeline.py::test_a_put_whose_answer_was_lost_is_not_sent_again",
            "enrich/test_pipeline.py::test_a_second_try_buys_nothing_and_writes_only_what_is_missing",
            "enrich/test_pipeline.py::test_a_note_is_written_once_a_job_and_only_where_wanted",
            "providers/test_http.py::test_a_reused_connection_that_breaks_is_one_send",
            "providers/test_http.py::test_whatever_goes_wrong_each_call_is_sent_once",
        ),
    ),
    "R14": (
        "the echo of our own writes starts nothing",
        (
            "test_events_table.py::test_the_echo_of_our_own_writes_goes_nowhere",
            "enrich/test_pipeline.py::test_an_echo_of_the_same_data_writes_nothing",
        ),
    ),
    "R15": (
        "fresh events are worked on as told, others as read; one job a contact; older events do not win",
        (
            "enrich/test_pipeline.py::test_a_fresh_event_is_enough_no_read_one_put_one_tag_call",
            "enrich/test_pipeline.py::test_the_contact_is_read_where_the_event_is_not_enough",
            "store/test_events_table.py::test_while_a_job_is_at_work_the_new_one_waits_for_its_end",
            "store/test_events_table.py::test_an_update_that_was_overtaken_is_ignored",
        ),
    ),
    "R16": (
        "a vendor's time and size are bounded, no redirect is followed",
        (
            "test_rules_limits.py::test_a_vendor_s_bounds_are_those_of_the_rule",
            "providers/test_http.py::test_a_drip_ends_with_the_whole_time",
            "providers/test_http.py::test_a_huge_answer_is_not_read_to_its_end",
            "providers/test_http.py::test_a_redirect_is_not_followed",
            "providers/test_answers.py::test_a_good_status_with_a_bad_body_is_malformed",
        ),
    ),
    "R17": (
        "what an error means: for everybody, for this lead, for this try",
        (
            "providers/test_answers.py::test_what_concerns_every_lead",
            "providers/test_answers.py::test_what_may_pass",
            "providers/test_answers.py::test_what_will_never_work_for_this_lead",
            "providers/test_http.py::test_a_bad_certificate_puts_the_provider_out_and_sends_nothing",
            "test_adversity_vendors.py::test_a_key_that_expires_burns_no_lead",
            "test_adversity_vendors.py::test_without_credit_everybody_waits_for_a_person",
            "providers/test_realestateapi.py::test_every_form_of_no_match_is_one_result_and_one_call",
        ),
    ),
    "R18": (
        "a 429 closes the vendor for everybody as long as it says, an hour at most",
        (
            "providers/test_answers.py::test_retry_after_never_fails_and_never_leaves_its_bounds",
            "providers/test_shutter.py::test_closed_until_the_named_time_for_everybody",
            "providers/test_realestateapi.py::test_a_spent_day_closes_until_midnight_utc",
            "providers/test_ghl.py::test_a_counter_at_zero_closes_before_any_429",
            "test_adversity_vendors.py::test_a_throttle_closes_the_vendor_for_every_lead",
        ),
    ),
    "R19": (
        "records of another shape: nothing is guessed, one is for review, many stop the buying",
        (
            "providers/test_drift.py::test_more_than_a_fifth_of_the_last_fifty_stops_the_buying_once",
            "test_rules_drift.py::test_records_of_another_shape_pause_the_seller_until_a_person_looks",
            "enrich/test_record.py::test_no_value_breaks_a_coercion",
            "enrich/test_rules.py::test_no_record_breaks_a_rule",
            "enrich/test_mapping.py::test_whatever_comes_the_crm_can_take",
        ),
    ),
    "R20": (
        "SIGTERM drains and hands back uncounted, a second one forces, SIGHUP takes all or nothing",
        (
            "test_adversity.py::test_sigterm_lets_what_is_in_flight_finish",
            "test_adversity.py::test_what_outlasts_the_grace_is_handed_back_uncounted",
            "test_adversity.py::test_a_second_sigterm_forces",
            "test_adversity.py::test_sighup_takes_a_good_configuration_and_refuses_a_bad_one",
            "test_systemd.py::test_the_daemon_has_time_to_drain_before_systemd_kills_it",
        ),
    ),
    "R21": (
        "signs of life come from the loop; nothing that comes in holds it up",
        (
            "test_rules_limits.py::test_systemd_hears_ready_signs_of_life_a_reload_and_the_end",
            "test_rules_limits.py::test_the_largest_record_does_not_hold_up_the_loop",
            "test_rules_limits.py::test_the_largest_webhook_does_not_hold_up_the_loop",
            "web/test_health.py::test_the_watchdog_s_pace",
        ),
    ),
    "R22": (
        "ready is not alive",
        (
            "web/test_health.py::test_alive_says_nothing_about_ready",
            "test_adversity.py::test_redis_goes_and_comes_back",
        ),
    ),
    "R23": (
        "secrets come from files, are masked everywhere, and stand in no URL or log",
        (
            "test_rules_privacy.py::test_no_canary_sings",
            "telemetry/test_redaction.py::test_no_known_secret_survives_anywhere",
            "web/test_connection.py::test_no_token_of_a_query_is_logged",
            "test_config_load.py::test_location_tokens_come_as_credentials",
            "test_config_load.py::test_no_fault_tells_a_secret",
            "test_cli.py::test_check_shows_values_with_their_sources_and_no_secret",
            "test_doctor.py::test_a_vendor_that_repeats_a_secret_does_not_show_it",
        ),
    ),
    "R24": (
        "page and API: nobody without a token but the loopback; no script, no frame, no foreign form",
        (
            "web/test_api.py::test_nobody_reads_without_a_token",
            "web/test_api.py::test_without_tokens_a_wider_bind_answers_nobody",
            "web/test_api.py::test_failed_log_ins_wait_and_the_right_token_does_not",
            "web/test_dashboard.py::test_the_policy_allows_no_foreign_script_and_no_frame",
            "web/test_dashboard.py::test_what_comes_from_outside_stays_text",
            "web/test_dashboard.py::test_forms_of_other_sites_do_nothing",
        ),
    ),
    "R25": (
        "Ed25519 and nothing else, no way round it",
        (
            "web/test_signature.py::test_anything_else_is_not",
            "web/test_signature.py::test_an_rsa_key_is_refused_at_the_start",
            "web/test_signature.py::test_no_changed_character_of_the_header_is_accepted",
            "web/test_signature.py::test_two_keys_serve_while_one_replaces_the_other",
            "web/test_webhook.py::test_what_is_not_verified_is_refused",
        ),
    ),
    "R26": (
        "a vendor's address is https and public, by its look and by what its name resolves to",
        (
            "test_config_urls.py::test_refused_upstreams",
            "test_config_urls.py::test_the_switch_opens_private_addresses_for_https_only",
            "providers/test_resolver.py::test_a_public_name_that_leads_into_a_private_network_is_refused",
            "providers/test_resolver.py::test_the_client_connects_to_nobody_who_was_not_meant",
            "providers/test_http.py::test_a_redirect_is_not_followed",
        ),
    ),
    "R27": (
        "what is known of a person ends with its retention; logs and keys hold ids",
        (
            "store/test_queue.py::test_what_a_finished_job_knew_of_the_lead_ends_with_its_retention",
            "store/test_queue.py::test_a_succeeded_jobs_results_are_dropped_at_once",
            "store/test_purchases.py::test_the_keys_show_no_addresses",
            "telemetry/test_redaction.py::test_personal_data_is_shown_to_a_debugger_only",
            "test_rules_privacy.py::test_no_canary_sings",
        ),
    ),
    "R28": (
        "a Redis user with our keys and our commands is enough",
        (
            "test_rules_redis.py::test_the_daemon_lives_with_the_shipped_user_alone",
            "test_rules_redis.py::test_that_user_can_do_nothing_else",
            "test_rules_redis.py::test_every_command_of_the_scripts_is_that_user_s",
            "test_rules_redis.py::test_the_doctor_can_tell_everything_as_that_user",
        ),
    ),
}


@pytest.fixture(scope="module")
def collected(request: pytest.FixtureRequest) -> frozenset[str]:
    """What pytest collected, parameters left out; of files that are not in this run, what they define."""
    found = {item.nodeid.partition("[")[0].removeprefix("tests/") for item in request.session.items}
    in_run = {test.partition("::")[0] for test in found}
    for file in {test.partition("::")[0] for _, tests in RULES.values() for test in tests} - in_run:
        tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
        found |= {
            f"{file}::{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    return frozenset(found)


def test_every_rule_is_here_in_its_order() -> None:
    assert list(RULES) == [f"R{number}" for number in range(1, 29)]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_proven_by_tests_that_pytest_finds(rule: str, collected: frozenset[str]) -> None:
    _, tests = RULES[rule]
    assert tests
    assert not [test for test in tests if test not in collected]


def test_the_documents_promise_by_tests_that_exist() -> None:
    """SECURITY.md names its tests as the README does."""
    named = re.findall(r"`tests/([\w/]+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text("utf-8"))
    assert len(named) >= 20
    gone = [
        f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / "tests" / file).read_text("utf-8")
    ]
    assert not gone
