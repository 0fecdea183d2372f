//! The last steps in the container's first process: tie it to its supervisor, then become the program.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags, fstat};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::promise::Promise;
use super::streams;
use nicdock_core::audit::Audit;
use nicdock_sys::closing::Closing;
use nicdock_sys::pidfd::Process;
use nicdock_sys::umask;
use nicdock_sys::{child, memfd, signals};

/// What is executed in the container's first process.
#[derive(Clone)]
pub enum Last {
    /// The starter, in memory, which executes the container's own program.
    Starter(Rc<OwnedFd>),
    /// The audit, in memory, instead of a program of the container's.
    Audit(Rc<Audit>),
}

/// Runs the spec's process.
#[derive(Clone)]
pub struct Program {
    /// Told apart from its end by descriptor: the container's process numbers do not reach the supervisor.
    supervisor: Rc<Process>,
    /// What the plan promised of the process itself.
    promised: Rc<Promise>,
    /// Entered last: when libcontainer would, the container's own root is not there yet.
    workdir: Option<String>,
    env: Rc<RefCell<Vec<CString>>>,
    last: Last,
}

impl Program {
    pub fn new(supervisor: Process, promised: Promise, workdir: Option<String>, last: Last) -> Self {
        Self {
            supervisor: Rc::new(supervisor),
            promised: Rc::new(promised),
            workdir,
            env: Rc::default(),
            last,
        }
    }

    fn end_with_supervisor(&self) {
        if child::die_with_parent().is_err() || self.supervisor.has_ended() {
            std::process::exit(125);
        }
    }
}

impl Executor for Program {
    /// Called when the process has its final credentials (a change of them would forget who its parent is, prctl(2)), before it waits
    /// to be started: from here on it ends with its supervisor.
    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        self.end_with_supervisor();
        Ok(())
    }

    fn setup_envs(&self, env: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        let text = |(key, value): (String, String)| CString::new(format!("{key}={value}")).ok();
        *self.env.borrow_mut() = env.into_iter().filter_map(text).collect();
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        self.end_with_supervisor();
        if let Err(difference) = self.promised.is_kept()
            && !Closing::Verify.is_left_open()
        {
            let _ = writeln!(
                io::stderr(),
                "nicdock: verifying the program's process: {difference}; it is not started"
            );
            std::process::exit(125);
        }
        if let Some(folder) = &self.workdir
            && let Err(error) = std::env::set_current_dir(folder)
        {
            let _ = writeln!(
                io::stderr(),
                "nicdock: entering the working directory {folder}: {error}, in the container"
            );
            std::process::exit(125);
        }
        if let Err(error) = let_null_be_written() {
            let _ = writeln!(io::stderr(), "nicdock: opening /dev/null in the container: {error}");
            std::process::exit(125);
        }
        signals::restore();
        umask::give_callers();
        let args = spec.process().as_ref().and_then(|p| p.args().clone()).unwrap_or_default();
        let args: Result<Vec<CString>, _> = args.into_iter().map(CString::new).collect();
        let (Ok(args), env) = (args, self.env.borrow()) else { return Err(ExecutorError::InvalidArg) };
        let (what, error) = match &self.last {
            Last::Audit(audit) => ("audit", audit.exec(&args, &env, &[])),
            Last::Starter(_) if Closing::Starter.is_left_open() => start_directly(&args, &env),
            Last::Starter(starter) => {
                ("starter", memfd::exec(starter, &nicdock_starter::arguments(&args), &env))
            }
        };
        let _ = writeln!(io::stderr(), "nicdock: executing the {what} in the container: {error}");
        std::process::exit(125);
    }
}

/// Where a stream is /dev/null, libcontainer puts the container's in its place, but for reading only (`reopen_dev_null()`): a program could write
/// nothing there.
fn let_null_be_written() -> io::Result<()> {
    let is_null = |stream: &dyn AsFd| fstat(stream.as_fd()).is_ok_and(|found| streams::is_null(&found));
    let are_null = [is_null(&io::stdin()), is_null(&io::stdout()), is_null(&io::stderr())];
    if are_null == [false; 3] {
        return Ok(());
    }
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    if !is_null(&null) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let place = [dup2_stdin, dup2_stdout, dup2_stderr];
    for (place, _) in place.into_iter().zip(are_null).filter(|(_, is_null)| *is_null) {
        place(&null)?;
    }
    Ok(())
}

/// From nicdock's own file, which the container's program can then reach: only to prove that it must not be.
fn start_directly(args: &[CString], env: &[CString]) -> ! {
    let [args, env] = [args, env].map(|texts| texts.iter().map(CString::as_c_str).collect::<Vec<_>>());
    let not_started = nicdock_starter::start(&args, &env);
    let _ = writeln!(io::stderr(), "nicdock: {}", not_started.reason);
    std::process::exit(not_started.status)
}
