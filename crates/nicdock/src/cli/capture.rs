//! `nicdock capture`: this machine in a file.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use nicdock_host::capture::Capture;

use crate::failure::Failure;
use nicdock_core::kind::Kind;
use nicdock_core::say::{answer, notice};
use nicdock_host::source::Live;
use nicdock_sys::umask::with_callers;

#[derive(clap::Args)]
pub struct Options {
    /// The file to write; '-' is standard output
    #[arg(long, short, value_name = "FILE", default_value = "nicdock-capture.tar.gz")]
    output: PathBuf,
    /// Replace MAC and IP addresses and GUIDs, each by the same everywhere
    #[arg(long)]
    redact: bool,
    /// Overwrite the file
    #[arg(long, short)]
    force: bool,
}

pub fn capture(options: &Options) -> Result<u8, Failure> {
    let mut capture = Capture::of(Live)?;
    if options.redact {
        capture = capture.redacted();
    }
    let mut bytes = Vec::new();
    capture.write(&mut bytes)?;
    if options.output == Path::new("-") {
        to_stdout(&bytes)?;
    } else {
        to_file(&options.output, &bytes, options.force)?;
        let shown = options.output.display();
        answer(&format!(
            "{shown}: {} files, {} bytes; look at it with 'nicdock ls --host {shown}'\n",
            capture.entries().len(),
            bytes.len()
        ))?;
    }
    if !options.redact {
        notice("it holds this machine's MAC and IP addresses and TCP connections: --redact replaces them");
    }
    Ok(0)
}

fn to_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(Failure::new(
            Kind::BadInput,
            "a capture is no text for a terminal: send it to a file or a pipe",
        ));
    }
    Ok(stdout.write_all(bytes).and_then(|()| stdout.flush())?)
}

fn to_file(path: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(!force).create(true).truncate(force);
    let mut file = with_callers(|| options.open(path)).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let why = format!("{} is there already: --force overwrites it, -o names another", path.display());
            Failure::new(Kind::BadInput, why)
        }
        _ => Failure::new(Kind::of_io(&error), format!("cannot write {}: {error}", path.display())),
    })?;
    file.write_all(bytes).map_err(|error| {
        // A piece of a capture is of no use to anybody.
        let _ = fs::remove_file(path);
        format!("cannot write {}: {error}", path.display()).into()
    })
}
