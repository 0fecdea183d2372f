//! Where NICs, GPUs and disks are: one description, drawn with characters or as SVG.

mod describe;
mod picture;
mod terminal;

pub use describe::{Drawing, describe};
pub use picture::picture;
pub use terminal::text;
