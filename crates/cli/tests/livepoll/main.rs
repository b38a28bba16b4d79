#![cfg(test)]
//! Live polling of the running binary: illegal requests and transitions with their exact answers, votes at the
//! same moment, codes that are guessed, names that are meant to harm, both databases over a kill.

mod codes;
mod legal;
mod requests;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod together;
