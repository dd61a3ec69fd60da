//! The service; not yet put together.
fn main() {}
