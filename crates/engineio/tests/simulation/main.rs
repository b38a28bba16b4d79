//! A server and a client in simulated time over a network with random delays.
//!
//! The client does what the JavaScript client does (poll, probe, pause, upgrade, heartbeats); the
//! server is a queue around the session, as the contract of [`Session`] asks. Shown for every seed:
//! no message is lost, doubled or reordered in either direction, before, during and after the
//! upgrade; a live client is never taken for dead; a dead one is noticed in time.
#![cfg(test)]

mod client;
mod server;
mod world;

use fanfare_engineio::{CloseReason, Revision, Settings, Transport};
use std::time::Duration;
use world::{Plan, World};

fn settings() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(700),
        ping_timeout: Duration::from_millis(500),
        upgrade_timeout: Duration::from_millis(2_000),
        allow_v3: true,
        ..Settings::default()
    }
}

fn plan(seed: u64, revision: Revision) -> Plan {
    Plan {
        seed,
        revision,
        start_on: Transport::Polling,
        upgrade: true,
        break_first_probe: false,
        messages: 300,
        client_dies: false,
    }
}

/// Checks that a living client got everything, and is alive.
fn check_alive(plan: Plan) {
    let mut world = World::new(plan, settings());
    world.run(Duration::from_secs(8));
    let seed = plan.seed;
    assert_eq!(world.server.closed, None, "seed {seed}");
    let expected: Vec<u32> = (0..plan.messages).collect();
    assert_eq!(world.client.received, expected, "to the client, seed {seed}");
    assert_eq!(world.server.received, expected, "to the server, seed {seed}");
    let on_websocket = plan.upgrade || plan.start_on == Transport::Websocket;
    let expected = if on_websocket { Transport::Websocket } else { Transport::Polling };
    assert_eq!(world.server.session.transport(), expected, "seed {seed}");
    assert!(world.server.session.is_open() && !world.server.session.is_upgrading());
}

/// Shows that the upgrade loses and reorders nothing, however the network delays things.
#[test]
fn upgrades_keep_every_message_in_order() {
    for seed in 0..200 {
        check_alive(plan(seed, Revision::V4));
        check_alive(plan(seed, Revision::V3));
    }
}

/// Shows the same for clients that stay on one transport.
#[test]
fn one_transport_keeps_every_message_in_order() {
    for seed in 0..50 {
        for revision in [Revision::V4, Revision::V3] {
            check_alive(Plan { upgrade: false, ..plan(seed, revision) });
            let start_on = Transport::Websocket;
            check_alive(Plan { upgrade: false, start_on, ..plan(seed, revision) });
        }
    }
}

/// Shows that a WebSocket which dies while it takes over harms nothing: polling goes on, and a
/// second one takes over.
#[test]
fn a_failed_upgrade_loses_nothing() {
    for seed in 0..200 {
        check_alive(Plan { break_first_probe: true, ..plan(seed, Revision::V4) });
    }
}

/// Shows that a client that vanishes without a word is noticed at the latest after an interval and
/// a timeout from its last answer, on whatever transport it was.
#[test]
fn a_vanished_client_is_noticed_in_time() {
    let settings = settings();
    let patience = settings.ping_interval + 2 * settings.ping_timeout;
    for seed in 0..100 {
        for revision in [Revision::V4, Revision::V3] {
            for upgrade in [true, false] {
                let plan = Plan { client_dies: true, upgrade, ..plan(seed, revision) };
                let mut world = World::new(plan, settings.clone());
                world.run(Duration::from_secs(8));
                let (reason, at) = world.server.closed.expect("noticed");
                assert_eq!(reason, CloseReason::PingTimeout, "seed {seed}");
                let died = world.client.died_at.expect("dead");
                let noticed = at.saturating_duration_since(died);
                assert!(noticed <= patience, "seed {seed}: {noticed:?}");
            }
        }
    }
}
