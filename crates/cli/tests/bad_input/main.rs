#![cfg(test)]
//! Bad input against the running server: what a hostile or broken peer sends, row by row.
//!
//! The rows stand in tables (`http`, `polling`, `websocket`, `engine`, `packets`, …): an id, what is
//! sent, what must come back and which counter must move, and the neighbours of each row. The
//! harness runs a table against the program itself and asserts after **every** case what no case
//! has to say: the process lives and nothing panicked; memory is back; another client lost nothing
//! and did not have to wait; sessions, sockets, files and threads are as many as before; exactly
//! the expected counters moved; nothing secret and no raw control character is in the log.
//!
//! Attacks that take time or numbers are here in small; `BAD_INPUT_SCALE=50` multiplies the numbers
//! for a run on demand. `BAD_INPUT_ONLY=C14` runs the rows that begin so. The figures of each table
//! are printed and written to `bad-input-<table>.json` in cargo's directory for tests.

mod backends;
mod canary;
mod case;
mod engine;
mod figures;
mod floods;
mod harness;
mod history;
mod http;
mod json;
mod listeners;
mod msgpack;
mod packets;
mod pages;
mod peer;
mod polling;
mod rates;
mod recovery;
mod revision_3;
mod scene;
mod server;
mod slow;
mod sse;
mod stats;
mod tls;
mod tokens;
mod tunnel;
mod websocket;
mod wire;

use harness::run;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_http() {
    run("A", http::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b_polling() {
    run("B", polling::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_websocket() {
    run("C", websocket::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_engine_packets_and_upgrade() {
    run("D", engine::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e_socketio_packets() {
    run("E", packets::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h_rooms_and_history() {
    run("H-history", history::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h_recovery() {
    run("H-recovery", recovery::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates() {
    run("rates", rates::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls() {
    run("tls", tls::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners() {
    run("listeners", listeners::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i_streams() {
    run("I", sse::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_many() {
    run("slow", slow::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_tokens() {
    run("F", tokens::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g_pages() {
    run("G", pages::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j_k_backends() {
    run("JK", backends::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m_floods() {
    run("M", floods::cases()).await;
}
