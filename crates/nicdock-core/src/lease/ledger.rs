//! The folder of leases, and the right to change it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nicdock_audit::weakness::Weakness;
use rustix::fs::{FlockOperation, Mode, OFlags};

use super::file::{self, SCHEMA};
use super::folder::{PUBLIC, make_folder};
use super::held;
use super::{ATTACH, Draining, Holder, LAUNCHER, Lease, LeaseError, Owner, ProcessId, STATE, Step, Token};
use crate::plan::{Grant, Plan};
use nicdock_sys::failpoint;

/// The folder of leases.
pub struct Ledger {
    pub(super) folder: PathBuf,
}

/// The right to change the ledger; others wait until it is dropped.
pub struct Lock(#[allow(dead_code, reason = "held, not read")] OwnedFd);

impl Ledger {
    /// This machine's.
    pub fn of_machine() -> Self {
        Self::new(Path::new(STATE))
    }

    /// The ledger below `state`; nothing is made before it is needed.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("leases") }
    }

    /// Serialises changes (flock(2)): released by the kernel if its holder is killed.
    pub fn lock(&self) -> Result<Lock, LeaseError> {
        let state = self.folder.parent().unwrap_or(&self.folder);
        for folder in [state, &self.folder] {
            make_folder(folder, PUBLIC).map_err(|error| LeaseError::io(folder, error))?;
        }
        let path = self.folder.join(".lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let lock = lock.map_err(|error| LeaseError::io(&path, error))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| LeaseError::io(&path, error))?;
        Ok(Lock(lock))
    }

    /// Every lease, in the order in which NICs are taken. Errors: one that cannot be read, since what it holds is not
    /// known.
    pub fn read(&self) -> Result<Vec<Lease>, LeaseError> {
        self.each()?.into_iter().collect()
    }

    /// Whether the NIC with this key (`Nic::key`) has a lease.
    pub fn has(&self, key: &str) -> bool {
        self.file(key).exists()
    }

    /// Every lease that can be read.
    pub fn readable(&self) -> Result<Vec<Lease>, LeaseError> {
        Ok(self.each()?.into_iter().filter_map(Result::ok).collect())
    }

    /// Every lease, and what is wrong with each that cannot be read.
    pub fn each(&self) -> Result<Vec<Result<Lease, LeaseError>>, LeaseError> {
        let mut leases = Vec::new();
        for path in self.files("json")? {
            match file::read(&path) {
                // Freed since the folder was listed.
                Err(error) if error.is_absent() => {}
                lease => leases.push(lease),
            }
        }
        leases.sort_by(|a, b| held::place(a).cmp(&held::place(b)));
        Ok(leases)
    }

    pub(super) fn files(&self, extension: &str) -> Result<Vec<PathBuf>, LeaseError> {
        let failed = |error| LeaseError::io(&self.folder, error);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut paths = paths.map_err(failed)?;
        paths.retain(|path| path.extension().is_some_and(|e| e == extension));
        Ok(paths)
    }

    /// The leases of a container. Others' that cannot be read are no reason to leave these as they are.
    fn of(&self, token: &Token) -> Result<Vec<Lease>, LeaseError> {
        Ok(self.readable()?.into_iter().filter(|lease| token.has(lease)).collect())
    }

    /// Writes a lease for each NIC of the plan, all or none.
    pub fn reserve(&self, lock: &Lock, plan: &Plan) -> Result<Token, LeaseError> {
        check_name(&self.read()?, &plan.name)?;
        self.take(lock, &plan.name, LAUNCHER, &plan.grants, &plan.weaknesses, None)
    }

    /// The same for a container that `engine` has made, of NICs that nobody has or that are set aside for `reserved_for`.
    pub fn take(
        &self,
        lock: &Lock,
        name: &str,
        engine: &str,
        grants: &[Grant],
        weaknesses: &[Weakness],
        reserved_for: Option<&Owner>,
    ) -> Result<Token, LeaseError> {
        let held = self.read()?;
        let has = |grant: &Grant| held.iter().find(|lease| lease.grant.nic.key() == grant.nic.key());
        if let Some(lease) = grants.iter().filter_map(has).find(|lease| !lease.is_for(reserved_for)) {
            return Err(LeaseError::taken(lease));
        }
        self.reach("reserve.before")?;
        let token = Token { container: name.to_owned(), generation: now() };
        let mut leases: Vec<Lease> = grants.iter().map(|grant| lease(&token, grant)).collect();
        for lease in &mut leases {
            lease.reserved = has(&lease.grant).and_then(|before| before.reserved.clone());
        }
        for holder in leases.iter_mut().flat_map(|lease| &mut lease.holders) {
            engine.clone_into(&mut holder.engine);
            holder.weaknesses = weaknesses.to_vec();
        }
        let written = leases.iter().try_for_each(|lease| self.write(lease));
        if let Err(error) = written.and_then(|()| self.reach("reserve.begun")) {
            for lease in &leases {
                let _ = self.free(lock, lease);
            }
            return Err(error);
        }
        Ok(token)
    }

    /// Adds a container of nicdock's launcher to every lease of container `other`, which is of its making, too; gives that one's holder, whose network
    /// namespace it is.
    pub fn join(&self, lock: &Lock, plan: &Plan, other: &str) -> Result<(Token, Holder), LeaseError> {
        let held = self.read()?;
        let its = |lease: &&Lease| lease.joinable(other).is_some_and(Holder::is_launched);
        let leases: Vec<&Lease> = held.iter().filter(its).collect();
        let absent = || LeaseError::NotJoinable(other.to_owned());
        let host = leases.first().and_then(|lease| lease.joinable(other)).cloned().ok_or_else(absent)?;
        let token = self.share(lock, &plan.name, LAUNCHER, &leases, &plan.weaknesses)?;
        Ok((token, host))
    }

    /// Adds a container that `engine` has made to these leases, all or none.
    pub fn share(
        &self,
        _lock: &Lock,
        name: &str,
        engine: &str,
        leases: &[&Lease],
        weaknesses: &[Weakness],
    ) -> Result<Token, LeaseError> {
        check_name(&self.read()?, name)?;
        let token = Token { container: name.to_owned(), generation: now() };
        for (done, lease) in leases.iter().enumerate() {
            let mut joined = (*lease).clone();
            joined.holders.push(Holder {
                engine: engine.to_owned(),
                weaknesses: weaknesses.to_vec(),
                journal: Some(Vec::new()),
                ..holder(&token)
            });
            if let Err(error) = self.write(&joined).and_then(|()| self.reach("join.begun")) {
                leases[..=done].iter().for_each(|lease| drop(self.write(lease)));
                return Err(error);
            }
        }
        Ok(token)
    }

    /// The holder of a container's leases.
    pub fn holder_of(&self, token: &Token) -> Result<Holder, LeaseError> {
        let found = self.of(token)?.into_iter().flat_map(|lease| lease.holders);
        let mut own = found.filter(|holder| token.owns(holder));
        own.next().ok_or_else(|| LeaseError::Ended(token.container.clone()))
    }

    /// Hands what was attached over to the container: `holder` answers for it from now on. Errors: a container of nicdock's
    /// own has ended meanwhile, and would not give it back.
    pub fn hand_over(&self, token: &Token, holder: &Holder) -> Result<(), LeaseError> {
        self.reach("attach.before")?;
        let lock = self.lock()?;
        let owner = Token::of(holder);
        let ends = |lease: &Lease| owner.has(lease) && lease.joinable(&holder.container).is_none();
        let has = self.of(&owner)?;
        let gone = holder.is_launched() && (has.is_empty() || has.iter().any(ends));
        if gone || !holder.is_alive() {
            return Err(LeaseError::Ended(holder.container.clone()));
        }
        for mut lease in self.of(token)? {
            lease.note_for(|holder| token.owns(holder), Step::Attach);
            for made in lease.holders.iter_mut().filter(|holder| token.owns(holder)) {
                *made = Holder { journal: made.journal.take(), ..holder.clone() };
            }
            self.write(&lease)?;
        }
        drop(lock);
        // It is the container's now, and nothing of this process's to undo.
        let _ = self.reach("attach.begun");
        Ok(())
    }

    /// Takes a NIC from the container that it was attached to; this process answers for it from now on. `None` if it was freed
    /// meanwhile, or goes back already.
    pub fn seize(&self, _lock: &Lock, seen: &Lease) -> Result<Option<(Token, Lease)>, LeaseError> {
        self.reach("seize.before")?;
        let found = self.current(seen)?.filter(|lease| lease.is_live() && !lease.has_begun(&Step::Return));
        let Some(mut lease) = found else { return Ok(None) };
        let container = lease.holders.first().map(|holder| holder.container.clone()).unwrap_or_default();
        let token = Token { container, generation: now() };
        lease.begin_return();
        lease.holders = vec![Holder { engine: ATTACH.to_owned(), ..holder(&token) }];
        self.write(&lease)?;
        self.reach("seize.begun")?;
        Ok(Some((token, lease)))
    }

    /// Whether the container still has a NIC.
    pub fn knows(&self, token: &Token) -> bool {
        self.of(token).is_ok_and(|leases| !leases.is_empty())
    }

    pub(super) fn reach(&self, point: &str) -> Result<(), LeaseError> {
        failpoint::reach(point).map_err(|error| LeaseError::io(&self.folder, error))
    }

    /// Takes a container out of its leases; gives those that it was the last holder of, to be given back and then freed.
    ///
    /// Such a lease keeps its last holder until then: should that be killed, the next command finds what is left to do.
    /// What cannot be written down is done all the same.
    pub fn leave(&self, _lock: &Lock, token: &Token) -> Result<Vec<Lease>, LeaseError> {
        let mut last = Vec::new();
        for mut lease in self.of(token)? {
            let others = lease.holders.iter().any(|h| !token.owns(h) && h.is_alive());
            if others {
                lease.dismiss(|holder| token.owns(holder));
            } else {
                lease.begin_return();
                last.push(lease.clone());
            }
            let _ = self.write(&lease);
        }
        Ok(last)
    }

    /// Makes what killed supervisors left behind this process's to end; `None` if another has done so since `seen` was
    /// read.
    ///
    /// Gives the lease as it was found. If every supervisor is dead, this process takes their place until it frees the
    /// lease.
    pub fn claim(&self, _lock: &Lock, seen: &Lease) -> Result<Option<Lease>, LeaseError> {
        let Some(found) = self.current(seen)?.filter(Lease::is_broken) else { return Ok(None) };
        let mut claimed = found.clone();
        if found.is_live() {
            claimed.dismiss(|holder| !holder.is_alive());
        } else {
            claimed.begin_return();
            for holder in &mut claimed.holders {
                (holder.supervisor, holder.group) = (ProcessId::current(), None);
            }
        }
        self.write(&claimed)?;
        self.reach("claim.begun")?;
        Ok(Some(found))
    }

    /// The lease as the ledger has it now; `None` when it was freed, or its NIC given anew.
    pub fn current(&self, seen: &Lease) -> Result<Option<Lease>, LeaseError> {
        match file::read(&self.path(&seen.grant)) {
            Err(error) if error.is_absent() => Ok(None),
            found => Ok(Some(found?).filter(|found| found.generation == seen.generation)),
        }
    }

    /// No container has the NIC any more: it can be given again, to its owner alone if it is set aside.
    pub fn free(&self, _lock: &Lock, lease: &Lease) -> Result<(), LeaseError> {
        let Some(current) = self.current(lease)? else { return Ok(()) };
        if let Some(reservation) = current.reserved {
            return self.write(&Lease::reserved(current.grant, reservation));
        }
        self.remove(lease)
    }

    pub(super) fn remove(&self, lease: &Lease) -> Result<(), LeaseError> {
        let path = self.path(&lease.grant);
        fs::remove_file(&path).map_err(|error| LeaseError::io(&path, error))
    }

    /// The NIC is back and has no holder, but is not to be given while `draining` reach it, or while there is a reason for
    /// `quarantine`.
    pub fn keep(
        &self,
        _lock: &Lock,
        lease: &Lease,
        draining: Vec<Draining>,
        quarantine: Option<String>,
    ) -> Result<(), LeaseError> {
        let Some(mut kept) = self.current(lease)? else { return Ok(()) };
        kept.holders.clear();
        (kept.draining, kept.quarantine, kept.stuck) = (draining, quarantine, None);
        self.write(&kept)
    }

    /// The NIC, or a part of it, could not be given back, for this reason. The lease keeps its last holder, who is dead when this process has ended.
    pub fn stick(&self, _lock: &Lock, lease: &Lease, reason: String) -> Result<(), LeaseError> {
        let Some(mut stuck) = self.current(lease)? else { return Ok(()) };
        stuck.stuck = Some(reason);
        self.write(&stuck)
    }

    pub fn write(&self, lease: &Lease) -> Result<(), LeaseError> {
        file::write(&self.path(&lease.grant), lease)
    }

    fn file(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{}.json", file::stem(key)))
    }

    pub(super) fn path(&self, grant: &Grant) -> PathBuf {
        self.file(&grant.nic.key())
    }
}

/// A name is a container's alone.
fn check_name(held: &[Lease], name: &str) -> Result<(), LeaseError> {
    if held.iter().any(|lease| lease.holder(name).is_some()) {
        return Err(LeaseError::Name(name.to_owned()));
    }
    Ok(())
}

pub(super) fn lease(token: &Token, grant: &Grant) -> Lease {
    Lease {
        schema: SCHEMA,
        generation: token.generation,
        holders: vec![holder(token)],
        grant: grant.clone(),
        journal: vec![Step::Reserve],
        draining: Vec::new(),
        quarantine: None,
        stuck: None,
        reserved: None,
    }
}

fn holder(token: &Token) -> Holder {
    Holder {
        container: token.container.clone(),
        generation: token.generation,
        engine: LAUNCHER.to_owned(),
        supervisor: ProcessId::current(),
        group: None,
        user: user(),
        since: today(),
        namespace: None,
        weaknesses: Vec::new(),
        journal: None,
    }
}

/// Who logged in, whatever `su` and `sudo` made of it (proc_pid_loginuid(5)).
pub(super) fn user() -> u32 {
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    login.filter(|uid| *uid != u32::MAX).unwrap_or_else(|| rustix::process::getuid().as_raw())
}

/// Seconds since 1970.
pub(super) fn today() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

/// Nanoseconds since boot: with the lock held it never gives the same twice, whatever becomes of the clock of the day.
pub(super) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    nanoseconds.cast_unsigned()
}
