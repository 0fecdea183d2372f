//! The last steps in the container's first process: tie it to its supervisor, then become the program.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::io::{self, Write};
use std::rc::Rc;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use oci_spec::runtime::Spec;

use super::promise::Promise;
use crate::audit::Audit;
use crate::closing::Closing;
use crate::kernel::pidfd::Process;
use crate::kernel::{child, signals};

/// Exit statuses as podman gives them.
const CANNOT_EXECUTE: i32 = 126;
const NOT_FOUND: i32 = 127;

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
    /// Becomes the audit instead of a file of the container's.
    audit: Option<Rc<Audit>>,
}

impl Program {
    pub fn new(
        supervisor: Process,
        promised: Promise,
        workdir: Option<String>,
        audit: Option<Rc<Audit>>,
    ) -> Self {
        Self {
            supervisor: Rc::new(supervisor),
            promised: Rc::new(promised),
            workdir,
            env: Rc::default(),
            audit,
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
        signals::restore();
        let args = spec.process().as_ref().and_then(|p| p.args().clone()).unwrap_or_default();
        let args: Result<Vec<CString>, _> = args.into_iter().map(CString::new).collect();
        let (Ok(args), env) = (args, self.env.borrow()) else { return Err(ExecutorError::InvalidArg) };
        let Some(program) = args.first() else { return Err(ExecutorError::InvalidArg) };
        if let Some(audit) = &self.audit {
            let error = audit.exec(&args, &env, &[]);
            let _ = writeln!(io::stderr(), "nicdock: executing the audit in the container: {error}");
            std::process::exit(125);
        }
        let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
        for path in candidates(program, &env) {
            let error = child::exec(&path, &args, &env);
            if error.raw_os_error() != Some(libc::ENOENT) {
                worst = error;
            }
        }
        let _ = writeln!(io::stderr(), "nicdock: {}: {worst}, in the container", program.to_string_lossy());
        std::process::exit(if worst.raw_os_error() == Some(libc::ENOENT) {
            NOT_FOUND
        } else {
            CANNOT_EXECUTE
        })
    }
}

/// A name with a slash is a path; any other is looked up in the container's PATH (execvp(3)).
fn candidates(program: &CString, env: &[CString]) -> Vec<CString> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.clone()];
    }
    let path = env.iter().find_map(|e| e.as_bytes().strip_prefix(b"PATH=")).unwrap_or_default();
    let join = |folder: &[u8]| CString::new([folder, b"/", program.as_bytes()].concat()).ok();
    path.split(|b| *b == b':').filter(|f| !f.is_empty()).filter_map(join).collect()
}
