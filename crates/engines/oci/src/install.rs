//! Registers nicdock's runtime in texts of engines' configuration, as they are and as they should be. Reads and writes no file.

pub mod handler;
pub mod member;

/// What a runtime of nicdock's is called under every engine.
pub const NAME: &str = "nicdock";
