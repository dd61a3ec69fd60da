//! Behaviour through the running program.
#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod architecture;
mod browser;
mod crash;
mod loops;
mod process;
