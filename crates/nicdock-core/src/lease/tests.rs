//! The ledger as a state machine, against a model of it: whatever is asked of it in whatever order, no NIC is given twice or lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::{Draining, Holder, Lease, LeaseError, Ledger, ProcessId, Step, Token};
use crate::plan::Plan;

const NICS: usize = 3;
const NAMES: usize = 3;

#[derive(Clone, Debug)]
enum Operation {
    /// A container of this name takes these NICs.
    Reserve(usize, BTreeSet<usize>),
    /// A container joins the one of that name.
    Join(usize, usize),
    /// The program of the `n`th container that ever was starts.
    Start(usize),
    /// Its supervisor is killed.
    Kill(usize),
    /// It ends: it leaves, and frees what it was the last to have; or dies in between.
    End(usize, bool),
    /// Another command recovers what it finds; or dies in between.
    Recover(bool),
    /// The NIC is back, and somebody else has its node open.
    Drain(usize),
    /// The NIC's file is cut.
    Cut(usize),
    /// What cannot be read is put aside.
    Repair,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let container = 0..8_usize;
    let one = prop_oneof![
        4 => (0..NAMES, proptest::collection::btree_set(0..NICS, 1..=2)).prop_map(|(n, s)| Operation::Reserve(n, s)),
        2 => (0..NAMES, 0..NAMES).prop_map(|(name, other)| Operation::Join(name, other)),
        4 => container.clone().prop_map(Operation::Start),
        2 => container.clone().prop_map(Operation::Kill),
        3 => (container.clone(), any::<bool>()).prop_map(|(n, whole)| Operation::End(n, whole)),
        2 => any::<bool>().prop_map(Operation::Recover),
        1 => container.prop_map(Operation::Drain),
        1 => (0..NICS).prop_map(Operation::Cut),
        1 => Just(Operation::Repair),
    ];
    proptest::collection::vec(one, 1..40)
}

/// What should be: who has each NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Nic {
    /// These containers, by their number; a supervisor may be dead.
    Held(Vec<usize>),
    Draining,
    Cut,
}

struct Container {
    token: Token,
    alive: bool,
    started: bool,
}

#[derive(Default)]
struct Model {
    nics: BTreeMap<usize, Nic>,
    /// Every container that ever was.
    containers: Vec<Container>,
}

impl Model {
    fn is_cut(&self) -> bool {
        self.nics.values().any(|nic| *nic == Nic::Cut)
    }

    fn holders(&self) -> BTreeSet<usize> {
        let held =
            self.nics.values().filter_map(|nic| if let Nic::Held(list) = nic { Some(list) } else { None });
        held.flatten().copied().collect()
    }

    fn holder_named(&self, name: usize) -> Option<usize> {
        self.holders().into_iter().find(|n| self.containers[*n].token.container == name_of(name))
    }
}

fn name_of(name: usize) -> String {
    format!("container{name}")
}

/// A plan by which a container of this name takes these NICs.
pub(super) fn plan(name: usize, nics: &BTreeSet<usize>) -> Plan {
    let mut plan: Plan = serde_json::from_str(include_str!("../../fuzz/plan/move.json")).expect("an example");
    let example = plan.grants.remove(0);
    plan.name = name_of(name);
    plan.grants = nics
        .iter()
        .map(|nic| {
            let mut grant = example.clone();
            grant.nic.name = format!("nic{nic}");
            grant.nic.pci = None;
            grant
        })
        .collect();
    plan
}

fn path(folder: &Path, nic: usize) -> std::path::PathBuf {
    folder.join(format!("leases/nic{nic}.json"))
}

fn number(lease: &Lease) -> usize {
    lease.grant.nic.name.trim_start_matches("nic").parse().expect("a number")
}

/// As if the supervisor of a container had been killed.
fn bury(ledger: &Ledger, token: &Token) {
    for mut lease in ledger.each().expect("a list").into_iter().flatten() {
        let dead = ProcessId { start: 1, ..ProcessId::current() };
        let of_token = |holder: &&mut Holder| Token::of(holder) == *token;
        lease.holders.iter_mut().filter(of_token).for_each(|holder| holder.supervisor = dead);
        ledger.write(&lease).expect("writable");
    }
}

struct World {
    folder: tempfile::TempDir,
    ledger: Ledger,
    model: Model,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::new(folder.path());
        Self { folder, ledger, model: Model::default() }
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Reserve(name, nics) => self.reserve(*name, nics),
            Operation::Join(name, other) => self.join(*name, *other),
            Operation::Start(n) => self.start(*n),
            Operation::Kill(n) => self.kill(*n),
            Operation::End(n, whole) => self.end(*n, *whole),
            Operation::Recover(whole) => self.recover(*whole),
            Operation::Drain(n) => self.drain(*n),
            Operation::Cut(nic) => self.cut(*nic),
            Operation::Repair => self.repair(),
        }
        self.check();
    }

    fn reserve(&mut self, name: usize, nics: &BTreeSet<usize>) {
        let lock = self.ledger.lock().expect("a lock");
        let result = self.ledger.reserve(&lock, &plan(name, nics));
        let model = &mut self.model;
        let free = nics.iter().all(|nic| !model.nics.contains_key(nic));
        let may = !model.is_cut() && free && model.holder_named(name).is_none();
        assert_eq!(result.is_ok(), may, "{result:?}");
        if let Ok(token) = result {
            let known =
                model.containers.iter().any(|container| container.token.generation == token.generation);
            assert!(!known, "a generation came twice");
            model.containers.push(Container { token, alive: true, started: false });
            let number = model.containers.len() - 1;
            model.nics.extend(nics.iter().map(|nic| (*nic, Nic::Held(vec![number]))));
        }
    }

    fn join(&mut self, name: usize, other: usize) {
        let lock = self.ledger.lock().expect("a lock");
        let result = self.ledger.join(&lock, &plan(name, &BTreeSet::new()), &name_of(other));
        let model = &mut self.model;
        let host =
            model.holder_named(other).filter(|n| model.containers[*n].alive && model.containers[*n].started);
        let may = !model.is_cut() && model.holder_named(name).is_none() && host.is_some();
        // One that is being returned is not joined either, which the model does not follow: it may refuse more.
        assert!(may || result.is_err(), "joined {other}");
        if let (Ok((token, holder)), Some(host)) = (result, host) {
            assert_eq!(Token::of(&holder), model.containers[host].token);
            model.containers.push(Container { token, alive: true, started: false });
            let number = model.containers.len() - 1;
            for nic in model.nics.values_mut() {
                match nic {
                    Nic::Held(list) if list.contains(&host) => list.push(number),
                    _ => {}
                }
            }
        }
    }

    fn start(&mut self, n: usize) {
        let Some(container) = self.model.containers.get_mut(n).filter(|container| container.alive) else {
            return;
        };
        let every = plan(0, &(0..NICS).collect());
        let journal = super::Journal { ledger: &self.ledger, token: &container.token, grants: &every.grants };
        journal.start(7).expect("noted");
        container.started = true;
    }

    fn kill(&mut self, n: usize) {
        let Some(container) = self.model.containers.get_mut(n) else { return };
        container.alive = false;
        bury(&self.ledger, &container.token);
    }

    /// Also of a container that ended long ago: that must change nothing.
    fn end(&mut self, n: usize, whole: bool) {
        let Some(container) = self.model.containers.get_mut(n) else { return };
        let token = container.token.clone();
        let lock = self.ledger.lock().expect("a lock");
        let ended = self.ledger.leave(&lock, &token).expect("a list");
        if whole {
            for lease in &ended {
                self.ledger.free(&lock, lease).expect("freed");
            }
        }
        let was_alive = std::mem::replace(&mut container.alive, false);
        let alive: Vec<bool> = self.model.containers.iter().map(|container| container.alive).collect();
        let mut freed = BTreeSet::new();
        for (nic, state) in &mut self.model.nics {
            let Nic::Held(list) = state else { continue };
            if !list.contains(&n) {
                continue;
            }
            if list.iter().any(|other| alive[*other]) {
                list.retain(|other| *other != n);
            } else {
                freed.insert(*nic);
            }
        }
        assert_eq!(ended.iter().map(number).collect::<BTreeSet<_>>(), freed);
        if whole {
            self.model.nics.retain(|nic, _| !freed.contains(nic));
        } else if was_alive {
            drop(lock);
            bury(&self.ledger, &token);
        }
    }

    fn recover(&mut self, whole: bool) {
        for seen in self.ledger.each().expect("a list").into_iter().flatten() {
            let lock = self.ledger.lock().expect("a lock");
            let Some(found) = self.ledger.claim(&lock, &seen).expect("readable") else { continue };
            // Another command comes a moment later.
            let again = self.ledger.claim(&lock, &seen).expect("readable");
            assert!(again.is_none(), "two commands recover {seen:?}");
            let nic = number(&found);
            if found.is_live() {
                let alive: Vec<bool> =
                    self.model.containers.iter().map(|container| container.alive).collect();
                if let Some(Nic::Held(list)) = self.model.nics.get_mut(&nic) {
                    list.retain(|n| alive[*n]);
                }
            } else if whole {
                self.ledger.free(&lock, &found).expect("freed");
                self.model.nics.remove(&nic);
            } else {
                let tokens: Vec<Token> = found.holders.iter().map(Token::of).collect();
                for token in &tokens {
                    bury(&self.ledger, token);
                }
            }
        }
    }

    fn drain(&mut self, n: usize) {
        let Some(container) = self.model.containers.get_mut(n) else { return };
        let token = container.token.clone();
        let lock = self.ledger.lock().expect("a lock");
        let holder = |lease: &Lease| lease.holders.len() == 1 && Token::of(&lease.holders[0]) == token;
        for lease in self.ledger.each().expect("a list").into_iter().flatten().filter(holder) {
            let by = vec![Draining::Contexts { device: "rxe0".to_owned(), count: 1 }];
            self.ledger.keep(&lock, &lease, by, None).expect("kept");
            self.model.nics.insert(number(&lease), Nic::Draining);
        }
        // It has left those; should it have others, it goes on.
    }

    fn cut(&mut self, nic: usize) {
        let path = path(self.folder.path(), nic);
        let Ok(text) = std::fs::read(&path) else { return };
        std::fs::write(&path, &text[..text.len() / 2]).expect("writable");
        self.model.nics.insert(nic, Nic::Cut);
    }

    fn repair(&mut self) {
        let lock = self.ledger.lock().expect("a lock");
        for lease in self.ledger.each().expect("a list") {
            if let Err(LeaseError::Broken { path, .. }) = lease {
                let kept = self.ledger.put_aside(&lock, &path).expect("moved");
                assert!(kept.exists() && !path.exists());
            }
        }
        self.model.nics.retain(|_, nic| *nic != Nic::Cut);
    }

    /// The ledger says what the model says.
    fn check(&self) {
        let each = self.ledger.each().expect("a list");
        let cut = each.iter().filter(|lease| lease.is_err()).count();
        assert_eq!(cut, self.model.nics.values().filter(|nic| **nic == Nic::Cut).count());
        let mut there = BTreeMap::new();
        for lease in each.iter().flatten() {
            assert_eq!(lease.journal.first(), Some(&Step::Reserve));
            let state = if lease.draining.is_empty() {
                let place = |holder: &Holder| {
                    self.model.containers.iter().position(|container| container.token == Token::of(holder))
                };
                Nic::Held(lease.holders.iter().map(|holder| place(holder).expect("known")).collect())
            } else {
                Nic::Draining
            };
            there.insert(number(lease), state);
        }
        let mut wanted = self.model.nics.clone();
        wanted.retain(|_, nic| *nic != Nic::Cut);
        assert_eq!(there, wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_nic_is_given_twice_or_lost_whatever_comes_in_whatever_order(operations in operations()) {
        let mut world = World::new();
        for operation in &operations {
            world.apply(operation);
        }
    }
}

/// A lease that two containers share, and the second one's token.
fn shared() -> (tempfile::TempDir, Ledger, Token) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::new(folder.path());
    let grants = plan(0, &BTreeSet::from([0])).grants;
    let lock = ledger.lock().expect("a lock");
    let first = ledger.take(&lock, "first", "example", &grants, &[], None).expect("a free NIC");
    let leases = ledger.read().expect("leases");
    let second = ledger.share(&lock, "second", "example", &[&leases[0]], &[]).expect("a lease");
    drop(lock);
    for (token, step) in [(&first, Step::Compose), (&second, Step::Restrict)] {
        super::Journal { ledger: &ledger, token, grants: &grants }.begin(&step).expect("noted");
    }
    (folder, ledger, second)
}

#[test]
fn what_was_done_for_a_container_that_joined_is_noted_apart_until_the_nic_goes_back() {
    let (_folder, ledger, second) = shared();
    let lease = ledger.read().unwrap().remove(0);
    assert_eq!(lease.journal, [Step::Reserve, Step::Compose]);
    assert_eq!(lease.holders[1].journal, Some(vec![Step::Restrict]));
    assert!(lease.steps().eq(&[Step::Reserve, Step::Compose, Step::Restrict]));
    assert!(ledger.share(&ledger.lock().unwrap(), "second", "example", &[&lease], &[]).is_err(), "a name");
    // The first has ended: the one that joined is the last.
    let lock = ledger.lock().unwrap();
    assert!(ledger.leave(&lock, &Token::of(&lease.holders[0])).unwrap().is_empty());
    let last = ledger.leave(&lock, &second).unwrap();
    assert_eq!(last[0].journal, [Step::Reserve, Step::Compose, Step::Restrict, Step::Return]);
    assert_eq!(last[0].holders[0].journal, None);
}

#[test]
fn one_that_joined_and_ends_leaves_nothing_but_nodes_that_were_not_known() {
    let (_folder, ledger, second) = shared();
    let mut lease = ledger.read().unwrap().remove(0);
    let node = |identity| super::DeviceNode {
        name: "uverbs1".into(),
        device: "rxe1".into(),
        major: 231,
        minor: 193,
        mode: 0o666,
        identity,
    };
    let give = |nodes| Step::Give { container: "second".into(), process: ProcessId::current(), nodes };
    lease.journal.push(give(vec![node(1)]));
    let own = lease.holders[1].journal.as_mut().unwrap();
    own.extend([give(vec![node(1)]), give(vec![node(2)])]);
    ledger.write(&lease).unwrap();
    let lock = ledger.lock().unwrap();
    assert!(ledger.leave(&lock, &second).unwrap().is_empty());
    let lease = ledger.read().unwrap().remove(0);
    assert_eq!(lease.holders.len(), 1);
    let known: Vec<u64> = lease.steps().flat_map(Step::nodes_given).map(|node| node.identity).collect();
    assert_eq!(known, [1, 2]);
}
