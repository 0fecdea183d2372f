//! What comes out of the container, which may be anything: read on the host, bounded, and judged there.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nicdock_audit::report::{Report, printable};
use nicdock_audit::weakness::Weakness;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::keeper::{Task, keep};
use super::{Audit, AuditError};
use nicdock_sys::child::{Child, forget_passed_descriptors};
use nicdock_sys::pidfd::Process;

/// A report of a thousand attempts has 200 kB.
const LONGEST: usize = 16 << 20;
const LONGEST_ERROR: usize = 4096;
/// For the keeper to end the audit.
const ENDING: Duration = Duration::from_secs(5);

/// Runs the audit where process `pid` is, while its container stands still, for at most `pause`.
pub fn run_in_place_of(
    pid: u32,
    audit: &Audit,
    weaknesses: &[Weakness],
    arguments: &[String],
    pause: Duration,
) -> Result<Report, AuditError> {
    let process = Process::open(pid).map_err(|_| AuditError::NoProcess(pid))?;
    forget_passed_descriptors().map_err(AuditError::kernel("closing descriptors"))?;
    let pipe = || io::pipe().map_err(AuditError::kernel("pipe"));
    let ((report, report_end), (errors, errors_end)) = (pipe()?, pipe()?);
    let (ours, theirs) = UnixStream::pair().map_err(AuditError::kernel("socketpair"))?;
    let begin = Instant::now();
    let task = Task { process: &process, pid, audit, arguments, report: &report_end, errors: &errors_end };
    // Killed and waited for when this returns, whatever happens: then the container goes on.
    let _keeper = Child::fork(|| keep(&task, &theirs)).map_err(AuditError::kernel("fork"))?;
    drop((report_end, errors_end, theirs));
    let mut heard = Heard {
        said: Bounded::new(ours, LONGEST_ERROR),
        report: Bounded::new(report, LONGEST),
        errors: Bounded::new(errors, LONGEST_ERROR),
    };
    let in_time =
        heard.until_ended(begin + pause).map_err(AuditError::kernel("reading what the audit says"))?;
    if !in_time {
        return Err(AuditError::NotReproducible(format!(
            "the container has stood still for {} s (--max-pause) and runs on, and the audit has not ended",
            pause.as_secs()
        )));
    }
    heard.judged(weaknesses).map_err(|reason| {
        if process.has_ended() { AuditError::NoProcess(pid) } else { AuditError::NotReproducible(reason) }
    })
}

struct Heard {
    said: Bounded<UnixStream>,
    report: Bounded<PipeReader>,
    errors: Bounded<PipeReader>,
}

impl Heard {
    /// Reads until the keeper has ended. `false`: it was told to.
    fn until_ended(&mut self, deadline: Instant) -> io::Result<bool> {
        let mut in_time = true;
        let mut deadline = deadline;
        while !self.said.is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if !in_time {
                    return Ok(false);
                }
                (in_time, deadline) = (false, Instant::now() + ENDING);
                self.said.source.shutdown(std::net::Shutdown::Write)?;
                continue;
            }
            self.wait(left)?;
            self.said.read()?;
            self.report.read()?;
            self.errors.read()?;
        }
        Ok(in_time)
    }

    fn wait(&self, left: Duration) -> io::Result<()> {
        let limit = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut sources = vec![PollFd::new(&self.said.source, PollFlags::IN)];
        let pipes = [&self.report, &self.errors];
        sources.extend(
            pipes.iter().filter(|pipe| !pipe.is_over).map(|pipe| PollFd::new(&pipe.source, PollFlags::IN)),
        );
        match poll(&mut sources, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The report counts only if it is whole, and if the audit ended as it says.
    fn judged(&self, weaknesses: &[Weakness]) -> Result<Report, String> {
        let said = String::from_utf8_lossy(&self.said.content).into_owned();
        let status = match said.trim_end().split_once(' ') {
            Some(("ended", status)) => status.parse::<u8>().ok(),
            Some(("error", reason)) => return Err(reason.to_owned()),
            _ => return Err("the process that keeps the container still was ended".to_owned()),
        };
        if self.report.is_cut {
            return Err(format!("the audit's report is longer than {LONGEST} bytes"));
        }
        let report = Report::received(&self.report.content, weaknesses).map_err(|error| {
            let errors = printable(String::from_utf8_lossy(&self.errors.content).trim());
            if errors.is_empty() { format!("the audit gave {error}") } else { errors }
        })?;
        if status != Some(report.exit_status()) {
            return Err(format!("the audit ended otherwise than its report says ({})", said.trim_end()));
        }
        Ok(report)
    }
}

/// What a source gives, up to a length; the rest is read and forgotten.
struct Bounded<S> {
    source: S,
    content: Vec<u8>,
    longest: usize,
    is_cut: bool,
    is_over: bool,
}

impl<S: Read + AsFd> Bounded<S> {
    fn new(source: S, longest: usize) -> Self {
        Self { source, content: Vec::new(), longest, is_cut: false, is_over: false }
    }

    /// What is there now.
    fn read(&mut self) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&self.source, true)?;
        let mut part = vec![0; 65536];
        while !self.is_over {
            match self.source.read(&mut part) {
                Ok(0) => self.is_over = true,
                Ok(length) => {
                    let kept = length.min(self.longest - self.content.len());
                    self.is_cut |= kept < length;
                    self.content.extend_from_slice(&part[..kept]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn heard(said: &str, report: &str, errors: &str) -> Result<Report, String> {
        let (ours, mut keeper) = UnixStream::pair().unwrap();
        let pipe = |text: &str| {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            reader
        };
        keeper.write_all(said.as_bytes()).unwrap();
        drop(keeper);
        let mut heard = Heard {
            said: Bounded::new(ours, LONGEST_ERROR),
            report: Bounded::new(pipe(report), LONGEST),
            errors: Bounded::new(pipe(errors), LONGEST_ERROR),
        };
        assert!(heard.until_ended(Instant::now() + Duration::from_secs(9)).unwrap());
        heard.judged(&[])
    }

    const CLOSED: &str = r#"{"schema":1,"reproducible":true,"notes":[],"summary":{"closed":1,"open":0,"not_applicable":0,"entries_walked":0,"seconds":0.0,"walk_seconds":0.0},"probes":[]}"#;

    #[test]
    fn a_report_counts_if_it_is_whole_and_the_audit_ended_so() {
        assert_eq!(heard("ended 0\n", CLOSED, "").unwrap().exit_status(), 0);
        assert!(heard("ended 1\n", CLOSED, "").is_err());
        assert!(heard("", CLOSED, "").is_err());
        assert!(heard("ended 0\n", &CLOSED[..40], "").is_err());
        assert_eq!(heard("error because\n", CLOSED, "").unwrap_err(), "because");
        assert_eq!(heard("ended 125\n", "", "bad\u{1b}[31m\n").unwrap_err(), "bad\\u{1b}[31m");
    }

    #[test]
    fn too_much_is_read_and_forgotten() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut bounded = Bounded::new(reader, 4);
        writer.write_all(b"123456").unwrap();
        bounded.read().unwrap();
        assert!(bounded.is_cut && bounded.content == b"1234");
    }
}
