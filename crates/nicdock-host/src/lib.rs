//! Finds a machine's fabric NICs: [`Host`](model::Host) is a pure value, read from `/` or from a capture.
//!
//! ```no_run
//! let host = nicdock_host::inventory::read(&nicdock_host::source::Live)?;
//! for nic in &host.nics {
//!     println!("{} ({})", nic.name, nic.kind);
//! }
//! # Ok::<(), nicdock_host::inventory::InventoryError>(())
//! ```

pub mod capture;
#[cfg(feature = "constructed")]
pub mod constructed;
pub mod environment;
pub mod inventory;
pub mod model;
pub mod source;
