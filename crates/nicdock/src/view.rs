//! What /sys shows in the container: start from nothing and add.

mod compose;
mod spec;

pub use compose::compose;
pub use spec::{Shown, View};
