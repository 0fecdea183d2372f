//! Room for what processes of one machine share.

use nicdock_host::environment::Reading;
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const SIZE: Check = Check {
    id: "host.shared_memory",
    asks: "that /dev/shm, of the container where one is named, has room for MPI and NCCL",
    why: "ranks on one machine talk by files in /dev/shm, hundreds of megabytes each with NCCL; where it is full they die of SIGBUS. Docker and Podman \
          give 64 MiB",
    judge: size,
    #[cfg(test)]
    cases: || Cases {
        fires: told("67108864 67108864\n"),
        ok: told("8589934592 8589934592\n"),
        unknown: Case::usnic(),
    },
};

/// What engines give by default.
const ENGINES: u64 = 64 << 20;
/// For a handful of ranks.
const SOME: u64 = 1 << 30;

fn size(subject: &Subject) -> Vec<Finding> {
    let process = subject.environment.process;
    let fact = Fact::SharedMemory(process);
    let place = fact.place();
    let fix = if process.is_some() {
        "start the container with --shm-size 8g (nicdock run, podman, docker)"
    } else {
        "mount -o remount,size=8G /dev/shm"
    };
    vec![match subject.environment.fact(fact) {
        Reading::Unknown(why) => Finding::unknown(why),
        Reading::Absent => Finding::problem(
            format!("{place} is not there"),
            "mount -t tmpfs -o size=8G,nosuid,nodev shm /dev/shm",
        ),
        Reading::Known(line) => {
            let mut numbers = line.split_whitespace().map(str::parse::<u64>);
            let (Some(Ok(total)), Some(Ok(free))) = (numbers.next(), numbers.next()) else {
                return vec![Finding::unknown(format!("{place}: '{}' is not understood", line.trim()))];
            };
            let evidence = format!("{place}: {} MiB, {} MiB free", total >> 20, free >> 20);
            if free <= ENGINES {
                Finding::problem(evidence, fix)
            } else if free < SOME {
                Finding::hint(evidence, fix)
            } else {
                Finding::ok(evidence)
            }
        }
    }]
}

#[cfg(test)]
fn told(line: &str) -> Case {
    Case::usnic().environment(|environment| environment.with_fact(Fact::SharedMemory(None), line))
}
