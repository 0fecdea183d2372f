//! What nicdock does, the same under every engine: what is asked for ([`request`]), what becomes of it ([`plan`]), who has it ([`lease`]),
//! how it is given ([`phases`], [`attach`]) and taken back ([`lifecycle`]), and how that is proved ([`audit`]).

pub mod attach;
pub mod audit;
pub mod changeable;
pub mod doing;
#[cfg(test)]
mod fuzz;
pub mod keeper;
pub mod kind;
pub mod lease;
pub mod lifecycle;
pub mod node;
pub mod phases;
pub mod plan;
pub mod request;
pub mod say;
pub mod seccomp;
pub mod settings;
pub mod static_program;
pub mod usnic;
pub mod view;
