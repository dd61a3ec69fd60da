//! Behaviour through the running program.
#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod accounts;
mod architecture;
mod browser;
mod browser_office;
mod bulletin;
mod colleagues;
mod console;
mod crash;
mod delivery;
mod doctor;
mod ears;
mod enclosures;
mod erasure;
mod harness;
mod ladder;
mod matching;
mod numbers;
mod office;
mod platform;
mod process;
mod rehearsal;
mod store_contract;
mod store_office;
mod store_people;
mod visitor;
mod webhook;
mod writing;
