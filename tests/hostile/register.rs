//! The register: every row of the list of bad input, and where it is shown.

use Shown::{Scripts, Test};

/// Where a row is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// By scripts of the table.
    Scripts,
    /// By a test of its own, in a file: it needs time, options, several peers, or the machine.
    Test(&'static str, &'static str),
}

const TIME: &str = "tests/hostile/time.rs";
const REQUESTS: &str = "tests/hostile/requests.rs";
const SUBSCRIPTIONS: &str = "tests/hostile/subscriptions.rs";
const MACHINE: &str = "tests/machine.rs";
const SIGNALS: &str = "tests/signals.rs";
const LIMITS: &str = "tests/limits.rs";
const AUTHENTICATION: &str = "tests/authentication.rs";
const PLAIN: &str = "src/zmtp/tests/plain.rs";
const IN_MEMORY: &str = "src/zmtp/tests/bad_input.rs";

const CURVE_ROWS: &str = "src/zmtp/tests/curve/mod.rs";
const CURVE_KEYS: &str = "src/zmtp/mechanism/curve/tests.rs";
const CURVE_MAN: &str = "src/zmtp/tests/curve/in_between.rs";
const CURVE_TCP: &str = "tests/curve/in_between.rs";
const POINTS: &str = "src/keys.rs";
const GUIDE: &str = "src/guide/security.md";

/// Every row, in the order of the list: greeting, frames, commands, mechanisms, patterns, the machine.
#[rustfmt::skip]
pub(crate) const ROWS: &[(&str, &[Shown])] = &[
    // greeting
    ("first byte not FF; byte 9 not 7F; revision 0, 1 or 2", &[Scripts, Test(IN_MEMORY, "a_wrong_byte_closes_at_once")]),
    ("revision 3 or above, any minor", &[Scripts]),
    ("mechanism unknown, different, not NUL padded, lower case", &[Scripts]),
    ("as-server and filler", &[Scripts]),
    ("partial greeting, one byte a second, silence, FIN or RST after n bytes for every n", &[
        Test(TIME, "a_peer_may_fall_silent_or_hang_up_after_any_byte"),
        Test(TIME, "the_handshake_has_to_end_in_time_whatever_part_of_it_came"),
        Test(TIME, "a_byte_at_a_time_does_not_stretch_the_handshake"),
    ]),
    ("greeting and frames in one segment", &[
        Scripts,
        Test(TIME, "a_push_says_nothing_to_a_peer_that_has_not_said_who_it_is"),
    ]),
    ("HTTP, TLS, SSH and SMB probes", &[Scripts]),
    // frames
    ("reserved flag bits", &[Scripts]),
    ("LONG form with a small length", &[Scripts]),
    ("length above the limit; above isize::MAX; near 2^64", &[Scripts]),
    ("huge length, then nothing", &[
        Test(TIME, "a_peer_that_stops_within_a_message_is_given_up"),
        Test(LIMITS, "many_halves_of_large_messages_take_no_more_than_all_may"),
    ]),
    ("a command with MORE; with zero length, name overrun, a name of no letters", &[Scripts]),
    ("a zero-length data frame", &[Scripts]),
    ("MORE for ever; a million empty parts", &[Scripts, Test(IN_MEMORY, "parts_have_a_limit_of_their_own")]),
    ("any chunking of any byte string", &[Test(IN_MEMORY, "hostile_scripts_however_they_are_cut")]),
    ("bytes after FIN, half-close", &[Scripts]),
    // commands
    ("READY with truncated names or values, empty name, bad name characters", &[Scripts]),
    ("a property twice; names in any case", &[Scripts]),
    ("10,000 properties, a value of 64 MB", &[Scripts]),
    ("Socket-Type unknown or incompatible", &[Scripts]),
    ("READY as a data frame, twice, late", &[Scripts]),
    ("ERROR before READY, reason of any length with control characters", &[
        Scripts,
        Test(TIME, "a_peer_that_says_error_is_not_asked_again_for_half_a_minute"),
    ]),
    ("an unknown command before READY", &[Scripts]),
    ("an unknown command after READY", &[Scripts]),
    ("SUBSCRIBE or CANCEL to a socket that does not publish", &[
        Scripts,
        Test(SUBSCRIPTIONS, "subscriptions_to_a_socket_that_does_not_publish_are_counted"),
    ]),
    ("CANCEL of an unknown topic; a million SUBSCRIBE or CANCEL; the same topic a million times", &[
        Test(SUBSCRIPTIONS, "a_cancellation_of_an_unknown_topic_means_nothing"),
        Test(SUBSCRIPTIONS, "a_topic_subscribed_to_for_ever_is_one_topic"),
        Test(SUBSCRIPTIONS, "a_subscriber_over_its_limit_is_disconnected_and_leaves_nothing"),
        Test(SUBSCRIPTIONS, "a_peer_whose_notices_nobody_takes_is_not_read_from"),
    ]),
    ("PING too short for its TTL; context of 0, 16, 17 … bytes; TTL 0, 1, 655, 656, 65535", &[
        Scripts,
        Test(TIME, "a_peer_that_asked_to_be_given_up_is_given_up"),
    ]),
    ("PING flood from a peer that never reads", &[
        Test(TIME, "a_flood_of_pings_from_a_peer_that_does_not_read_is_answered_once"),
    ]),
    ("PONG never asked for", &[Scripts]),
    // mechanisms
    ("PLAIN HELLO with lengths off, trailing bytes, 0 and 255 byte names; wrong credentials", &[
        Scripts,
        Test(PLAIN, "bad_clients_of_a_plain_server"),
        Test(AUTHENTICATION, "a_wrong_password_is_turned_away_and_counted_beside_an_honest_peer"),
    ]),
    ("commands of a mechanism out of order, repeated, from the wrong role", &[
        Scripts,
        Test(PLAIN, "bad_clients_of_a_plain_server"),
        Test(PLAIN, "bad_servers_of_a_plain_client"),
        Test(CURVE_ROWS, "bad_clients_of_a_curve_server_and_bad_servers_of_a_curve_client"),
        Test(CURVE_KEYS, "commands_out_of_their_order_are_refused"),
        Test(CURVE_MAN, "what_is_repeated_or_sent_back_closes"),
    ]),
    ("a server with no authenticator", &[Test(GUIDE, "a_server_with_no_authenticator")]),
    ("CURVE HELLO: wrong length, version, padding, low-order or zero point, wrong box", &[
        Scripts,
        Test(CURVE_ROWS, "bad_clients_of_a_curve_server_and_bad_servers_of_a_curve_client"),
        Test(CURVE_KEYS, "a_damaged_hello_is_not_answered"),
        Test(CURVE_KEYS, "a_client_key_that_nobody_can_own_is_refused"),
        Test(POINTS, "nothing_is_agreed_with_a_point_of_low_order"),
    ]),
    ("WELCOME, INITIATE, READY: wrong length, box, cookie, vouch", &[
        Scripts,
        Test(CURVE_KEYS, "a_damaged_welcome_is_refused"),
        Test(CURVE_KEYS, "a_damaged_initiate_is_refused"),
        Test(CURVE_KEYS, "a_damaged_ready_is_refused"),
        Test(CURVE_KEYS, "a_cookie_of_another_connection_is_refused"),
        Test(CURVE_KEYS, "what_was_recorded_is_good_for_no_other_connection"),
        Test(CURVE_KEYS, "both_keys_of_the_vouch_count_and_so_does_who_sealed_it"),
        Test(CURVE_MAN, "a_flipped_bit_of_a_body_closes"),
        Test(CURVE_TCP, "who_is_lied_to_within_the_handshake_hangs_up_and_comes_back"),
    ]),
    ("MESSAGE: replayed, reordered, skipped nonce, outer flags, unknown inner flags, plain frame", &[
        Scripts,
        Test(CURVE_KEYS, "messages_that_were_dropped_repeated_swapped_or_sent_back_are_refused"),
        Test(CURVE_KEYS, "flags_that_mean_nothing_are_refused_though_the_key_is_right"),
        Test(CURVE_ROWS, "after_the_handshake_only_what_is_sealed_counts"),
        Test(CURVE_MAN, "what_is_dropped_or_held_back_is_missed"),
        Test(CURVE_MAN, "a_flipped_flag_or_length_closes_at_once_or_in_time"),
        Test(CURVE_TCP, "who_is_lied_to_within_the_traffic_hangs_up_and_comes_back"),
    ]),
    ("any older protocol or NULL greeting to a secured socket", &[
        Scripts,
        Test(AUTHENTICATION, "other_mechanisms_reach_nobody"),
        Test(CURVE_MAN, "nobody_is_talked_into_another_mechanism_or_an_older_version"),
        Test(CURVE_TCP, "greetings_that_were_made_weaker_end_the_connection"),
    ]),
    ("an authenticator that is slow, panics, is dropped", &[
        Test(AUTHENTICATION, "an_authenticator_that_takes_too_long_lets_nobody_in"),
        Test(AUTHENTICATION, "an_authenticator_that_blocks_holds_up_nobody_who_is_in"),
        Test(AUTHENTICATION, "an_authenticator_that_panics_lets_nobody_in_and_goes_on"),
        Test(AUTHENTICATION, "a_request_that_is_dropped_is_denied"),
        Test(AUTHENTICATION, "a_peer_to_whom_nobody_has_said_no_is_told_nothing_and_comes_back"),
    ]),
    // patterns
    ("REP gets a request without the empty delimiter; with a million envelope frames", &[
        Test(REQUESTS, "rep_passes_over_what_is_no_request"),
        Test(REQUESTS, "rep_hangs_up_on_endless_envelopes"),
    ]),
    ("REQ gets a reply of wrong shape, wrong id, twice, from another peer", &[
        Test(REQUESTS, "req_passes_over_what_is_no_reply"),
    ]),
    ("routing ids above 255 bytes, or with a zero byte in front", &[
        Scripts,
        Test(REQUESTS, "router_hangs_up_on_ids_that_cannot_be"),
    ]),
    ("a routing id already in use", &[Test("tests/spec_reqrep.rs", "router_refuses_an_id_in_use")]),
    ("slow subscriber", &[Test("tests/spec_pubsub.rs", "a_slow_subscriber_may_lose_its_oldest_messages")]),
    ("a thousand silent peers on a PUSH", &[Test(MACHINE, "a_thousand_silent_peers_get_nothing_from_a_push")]),
    // the machine
    ("EMFILE or ENFILE on accept, tcp and ipc", &[Test(MACHINE, "without_descriptors_it_waits_and_recovers")]),
    ("a flood of half-open connections", &[
        Test(MACHINE, "a_flood_of_half_open_connections_sheds_the_oldest"),
        Test(LIMITS, "a_host_with_many_handshakes_makes_room_at_its_own_cost"),
        Test(LIMITS, "connections_that_come_too_fast_wait_for_their_turn"),
    ]),
    ("ipc path: live owner, stale socket, regular file, foreign owner", &[
        Test(MACHINE, "a_live_owner_keeps_an_ipc_path_whoever_it_is"),
        Test(MACHINE, "of_two_processes_that_race_for_a_path_one_has_it"),
        Test(MACHINE, "a_file_that_is_no_socket_is_left_alone"),
        Test(MACHINE, "a_path_of_another_user_is_left_alone"),
        Test(MACHINE, "only_the_owner_may_enter_an_ipc_path"),
    ]),
    ("SIGPIPE, EINTR, ECONNABORTED, RST at any byte", &[
        Test(SIGNALS, "no_write_raises_sigpipe"),
        Test(SIGNALS, "a_wait_that_is_interrupted_goes_on"),
        Test(SIGNALS, "connections_that_are_reset_before_they_are_accepted_harm_nobody"),
        Test(MACHINE, "a_peer_that_breaks_off_while_it_is_sent_to_harms_nobody_else"),
    ]),
];
