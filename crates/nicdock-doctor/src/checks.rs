//! The table of checks: one file a family.

mod cgroup;
mod containment;
mod engines;
mod firewall;
mod gids;
mod image;
mod kernel;
mod leases;
mod link;
mod managers;
mod memlock;
mod mtu;
mod netns_mode;
mod nodes;
mod numa;
mod pcie;
mod pcie_config;
mod roce;
mod shared_memory;
mod usnic;

use crate::check::{Answer, Check};
use crate::subject::Subject;

/// Every check, in the order of the report.
pub const CHECKS: &[Check] = &[
    memlock::CALLER,
    memlock::SYSTEMD,
    memlock::ENGINE,
    memlock::USER_NAMESPACE,
    usnic::IOMMU,
    usnic::VFS,
    usnic::IPV4,
    link::STATE,
    link::SPEED,
    link::WIDTH,
    mtu::MTU,
    gids::INDEX,
    gids::NODE_GUID,
    netns_mode::MODE,
    nodes::UVERBS,
    nodes::RDMA_CM,
    image::PROVIDER,
    image::ABI,
    cgroup::CONTROLLERS,
    containment::SECCOMP,
    containment::BPF_HOOK,
    containment::IO_URING,
    numa::CPUS,
    numa::DEVICES,
    pcie::LINK,
    pcie::ACS,
    pcie::RELAXED_ORDERING,
    roce::PFC,
    roce::ECN,
    managers::MANAGERS,
    firewall::RULES,
    shared_memory::SIZE,
    engines::VERSIONS,
    kernel::FAULTS,
    leases::STATES,
];

/// Every check's answers, in the table's order: at least one of each.
pub fn examine(subject: &Subject) -> Vec<Answer> {
    CHECKS.iter().flat_map(|check| check.answers(subject)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Status;

    /// That each check has all three is what its type demands.
    #[test]
    fn each_check_fires_is_ok_and_is_unknown_in_a_state_of_its_own() {
        let mut wrong = Vec::new();
        for check in CHECKS {
            let cases = (check.cases)();
            let mut expect = |case: &crate::testing::Case, state: &str, expected: &[Status]| {
                let (status, all) = case.ask(check);
                if !expected.contains(&status) {
                    wrong.push(format!("{} in the state '{state}': {all}", check.id));
                }
            };
            expect(&cases.fires, "fires", &[Status::Problem, Status::Hint]);
            expect(&cases.ok, "ok", &[Status::Ok]);
            expect(&cases.unknown, "unknown", &[Status::Unknown]);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_wrong_and_what_is_not_known_has_a_fix_and_all_have_evidence() {
        for check in CHECKS {
            let cases = (check.cases)();
            for case in [&cases.fires, &cases.ok, &cases.unknown] {
                for answer in case.answers(check) {
                    assert!(!answer.evidence.is_empty() && !answer.why.is_empty(), "{answer:?}");
                    assert!(answer.status == Status::Ok || answer.fix.is_some(), "{answer:?}");
                }
            }
        }
    }

    #[test]
    fn identities_are_unique_and_well_formed() {
        let mut ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
        assert!(ids.len() >= 25);
        for id in &ids {
            assert!(
                id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b))
                    && id.contains('.'),
                "{id}"
            );
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CHECKS.len());
    }

    #[test]
    fn a_check_that_is_about_no_nic_here_says_so() {
        let case = crate::testing::Case::of(nicdock_host::constructed::hosts::none());
        for check in CHECKS.iter().filter(|check| check.id.starts_with("usnic.")) {
            assert_eq!(case.ask(check).0, Status::Ok, "{}", check.id);
        }
    }
}
