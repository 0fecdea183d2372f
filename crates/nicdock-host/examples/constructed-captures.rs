//! Writes the constructed captures: `cargo run -p nicdock-host --features constructed --example constructed-captures -- captures`.

use std::fs::File;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let directory = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "captures".into()));
    for (name, machine) in nicdock_host::constructed::hosts::all() {
        let path = directory.join(format!("{name}.tar.gz"));
        machine.capture().write(File::create(&path)?)?;
        println!("{}", path.display());
    }
    Ok(())
}
