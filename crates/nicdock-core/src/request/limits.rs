//! How much of the host's processes and memory a container may use up.

use serde::{Deserialize, Serialize};

/// How many processes and threads a container has room for unless told, as with podman: enough for a rank a processor with its helpers,
/// and too few to fill the host's `kernel.pid_max`.
pub const PROCESSES: u32 = 2048;

/// More than the kernel has numbers for it refuses (`PIDS_MAX`, kernel/cgroup/pids.c; `PID_MAX_LIMIT`, include/linux/threads.h).
const MOST_PROCESSES: u32 = 4 << 20;

/// With less, nothing of a container starts.
const LEAST_MEMORY: u64 = 6 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads (cgroup controller `pids`). `None`: [`PROCESSES`], if the host has the controller.
    pub processes: Option<Processes>,
    /// Bytes of memory with swap, of its processes and of its files in memory (cgroup controller `memory`). `None`: no limit.
    pub memory: Option<Size>,
    /// Bytes of `/dev/shm`. `None`: half of the host's memory, the kernel's own default (tmpfs(5)).
    pub shm: Option<Size>,
}

/// A number of processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processes {
    Unlimited,
    AtMost(u32),
}

impl std::str::FromStr for Processes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let number = text.parse().ok().filter(|number| (1..=MOST_PROCESSES).contains(number));
        number.map(Self::AtMost).ok_or_else(|| {
            format!("'{text}' is no limit: expected a number from 1 to {MOST_PROCESSES}, or 'unlimited'")
        })
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(pub u64);

impl std::str::FromStr for Size {
    type Err = String;

    /// A number of bytes with an optional K, M, G or T (powers of 1,024).
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no size: expected a number like 64M");
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let shift = match unit.to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

/// A size of /dev/shm. With none tmpfs would have no bound (tmpfs(5)).
pub fn shm(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if size.0 > 0 {
        Ok(size)
    } else {
        Err("0 would be no limit: 4K is the least that a file takes".to_owned())
    }
}

/// A size in which a program can start.
pub fn memory(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if size.0 >= LEAST_MEMORY {
        Ok(size)
    } else {
        Err(format!("{text} is too little for any program: 6M is the least"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        assert_eq!("64M".parse(), Ok(Size(64 << 20)));
        assert_eq!("8GiB".parse(), Ok(Size(8 << 30)));
        assert_eq!("0".parse(), Ok(Size(0)));
        assert!(["", "99999999999T", "1X", "-1"].iter().all(|text| text.parse::<Size>().is_err()));
        assert!(memory("5M").is_err() && memory("6M").is_ok());
        assert!(shm("0").is_err() && shm("0K").is_err() && shm("4K").is_ok());
    }

    #[test]
    fn a_number_of_processes_is_not_none() {
        assert_eq!("12".parse(), Ok(Processes::AtMost(12)));
        assert_eq!("unlimited".parse(), Ok(Processes::Unlimited));
        assert!(["0", "-1", "", "12k", "4194305"].iter().all(|text| text.parse::<Processes>().is_err()));
    }
}
