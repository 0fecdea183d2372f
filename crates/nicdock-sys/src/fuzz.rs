//! Fuzzes the parsers of the kernel's answers.

use nicdock_fuzzing::{check, samples};

use crate::events;
use crate::uverbs::abi::{ANSWER_LEN, Answer};

#[test]
fn uevents() {
    check(&samples!("uevent"), |bytes| {
        if let Some(path) = events::removed(bytes) {
            // A byte that is no printable ASCII is written with four.
            assert!(!path.contains('\0') && path.len() < 4 * bytes.len());
        }
    });
}

#[test]
fn link_events() {
    let samples = format!("{}/../nicdock-netlink/fuzz/rtnl", env!("CARGO_MANIFEST_DIR"));
    check(&samples, |bytes| assert!(events::link_events(bytes).len() <= bytes.len() / 16 + 1));
}

#[test]
fn uverbs_answers() {
    check(&samples!("uverbs"), |bytes| {
        let mut answer = Box::new([0; ANSWER_LEN]);
        for (to, from) in answer.iter_mut().zip(bytes) {
            *to = *from;
        }
        let answer = Answer(answer);
        let _ = (answer.async_fd(), answer.handle(), answer.device(), answer.port(), answer.usnic_qp());
    });
}
