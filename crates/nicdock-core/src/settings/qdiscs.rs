//! Queueing disciplines (tc(8)) that somebody set up. A move takes all of them from the device, with their classes and
//! filters (net/sched/sch_generic.c, `dev_shutdown`), a program's as well as the host's.

use std::io;

use serde::{Deserialize, Serialize};

use super::Left;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_netlink::rtnl::traffic::{ROOT, RawQdisc};

/// Those whose classes are made by hand (`tc class add`).
const CLASSFUL: [&str; 5] = ["cbq", "drr", "hfsc", "htb", "qfq"];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Qdiscs(Vec<Qdisc>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Qdisc {
    kind: String,
    handle: u32,
    parent: u32,
    /// `TCA_OPTIONS` as the kernel gave it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    options: Option<Options>,
    /// Classes and filters below it, which are not remembered.
    classes: usize,
    filters: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Options(#[serde(with = "nicdock_host::model::hex")] Vec<u8>);

impl PartialEq for Qdisc {
    /// But for the options, which hold counters too, and what hangs on it.
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, self.handle, self.parent) == (&other.kind, other.handle, other.parent)
    }
}

impl Qdisc {
    fn raw(&self) -> RawQdisc {
        let options = self.options.as_ref().map(|options| options.0.clone());
        RawQdisc { handle: self.handle, parent: self.parent, kind: self.kind.clone(), options }
    }

    /// Whether its classes were made by an administrator, not by itself as mq's, prio's and tbf's are.
    fn has_made_classes(&self) -> bool {
        CLASSFUL.contains(&self.kind.as_str())
    }
}

impl Qdiscs {
    pub fn read(host: &mut Rtnl, ifindex: u32) -> io::Result<Self> {
        let mut found = Vec::new();
        // The kernel's own have no handle (net/sched/sch_generic.c, `attach_default_qdiscs`).
        for raw in host.qdiscs(ifindex)?.into_iter().filter(|qdisc| qdisc.handle != 0) {
            let (classes, filters) = host.count_below(ifindex, &raw)?;
            let RawQdisc { handle, parent, kind, options } = raw;
            let mut qdisc = Qdisc { kind, handle, parent, options: options.map(Options), classes, filters };
            if !qdisc.has_made_classes() {
                qdisc.classes = 0;
            }
            found.push(qdisc);
        }
        // What others hang on comes first.
        found.sort_by_key(|qdisc| (qdisc.parent != ROOT, qdisc.handle));
        Ok(Self(found))
    }

    /// Without what [`Qdisc::eq`] leaves out: every move takes all of them away, so a program can have changed none.
    pub fn comparable(&self) -> Self {
        let bare = |qdisc: &Qdisc| Qdisc { options: None, classes: 0, filters: 0, ..qdisc.clone() };
        Self(self.0.iter().map(bare).collect())
    }

    /// What is set up below them and will not be put back.
    pub fn unkept(&self) -> impl Iterator<Item = String> {
        let has = |qdisc: &&Qdisc| qdisc.classes > 0 || qdisc.filters > 0;
        self.0.iter().filter(has).map(|Qdisc { kind, classes, filters, .. }| {
            format!(
                "its {kind} has {classes} classes and {filters} filters (tc(8)), which are lost when it moves"
            )
        })
    }

    pub fn restore(&self, host: &mut Rtnl, ifindex: u32, name: &str, left: &mut Left) {
        let now = match Self::read(host, ifindex) {
            Ok(now) => now,
            Err(error) => return left.note(name, "its queueing disciplines", Err(error)),
        };
        for foreign in now.0.iter().filter(|qdisc| !self.0.contains(qdisc)) {
            left.note(
                name,
                "its queueing disciplines",
                host.remove_qdisc(ifindex, foreign.handle, foreign.parent),
            );
        }
        for own in self.0.iter().filter(|qdisc| !now.0.contains(qdisc)) {
            let what = format!("its queueing discipline {}", own.kind);
            left.note(name, &what, host.add_qdisc(ifindex, &own.raw()));
        }
    }
}
