//! Does nothing: what starting any static program costs.

fn main() {}
