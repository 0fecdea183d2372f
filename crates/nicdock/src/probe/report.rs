//! `nicdock probe --json`: the format that other programs rely on. Fields are added, never renamed or removed, within a
//! schema.

use serde::Serialize;

use super::errno;

/// The whole answer.
#[derive(Serialize)]
struct Answer<'a> {
    /// Version of this format: 1.
    schema: u32,
    /// By name of the RDMA device; empty when none is visible.
    devices: &'a [DeviceReport],
}

/// What was tried with one RDMA device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// Its name, `usnic_0`.
    pub rdma_device: String,
    /// The node that was opened, `/dev/infiniband/uverbs0`.
    pub node: String,
    /// Whether programs can use it: no step failed, and none that they need was left out because it is known to crash
    /// the kernel.
    pub usable: bool,
    /// In the order in which they were tried; every step of [`Step`], each once.
    pub steps: Vec<StepReport>,
}

/// One step and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    pub step: Step,
    /// `works`, `fails`, or `not_tried`: it needs a step that failed, or does not apply to this device.
    pub result: StepResult,
    /// The kernel's error; null where the kernel gave none.
    pub errno: Option<Errno>,
    /// What was found, or what the failure means and what to do next, in a sentence.
    pub text: String,
}

/// What is tried, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The files of /sys by which a program's library finds the device.
    Sysfs,
    /// The node is there and is this device's.
    Node,
    /// Opening it for reading and writing.
    Open,
    /// GET_CONTEXT: the kernel's RDMA core and the device's driver take the program on.
    GetContext,
    /// QUERY_DEVICE.
    QueryDevice,
    /// QUERY_PORT, and that one port is ACTIVE.
    QueryPort,
    /// The addresses in the first port's GID table.
    Gid,
    /// The port's netdev and its addresses in this network namespace.
    Netdev,
    /// RLIMIT_MEMLOCK.
    Memlock,
    /// ALLOC_PD: a protection domain.
    AllocPd,
    /// REG_MR: memory that the NIC may read and write.
    RegMr,
    /// CREATE_CQ, usNIC only: two completion queues.
    CreateCq,
    /// usNIC only: a UDP socket on the NIC's IPv4 address, which names the flow of a queue pair.
    UdpSocket,
    /// CREATE_QP, usNIC only: a queue pair.
    CreateQp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    Works,
    Fails,
    NotTried,
}

/// An error of the kernel (errno(3)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Errno {
    /// `EPERM`.
    pub name: String,
    /// 1
    pub number: i32,
}

impl Errno {
    pub fn new(number: i32) -> Self {
        Self { name: errno::name(number), number }
    }
}

impl Step {
    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sysfs => "sysfs",
            Self::Node => "node",
            Self::Open => "open",
            Self::GetContext => "get_context",
            Self::QueryDevice => "query_device",
            Self::QueryPort => "query_port",
            Self::Gid => "gid",
            Self::Netdev => "netdev",
            Self::Memlock => "memlock",
            Self::AllocPd => "alloc_pd",
            Self::RegMr => "reg_mr",
            Self::CreateCq => "create_cq",
            Self::UdpSocket => "udp_socket",
            Self::CreateQp => "create_qp",
        }
    }
}

/// The reports as indented JSON, with a newline at its end.
pub fn json(devices: &[DeviceReport]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&Answer { schema: 1, devices })? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_as_documented() {
        let step = StepReport {
            step: Step::CreateQp,
            result: StepResult::NotTried,
            errno: Some(Errno::new(libc::EPERM)),
            text: "why".into(),
        };
        let device = DeviceReport {
            rdma_device: "usnic_0".into(),
            node: "/dev/infiniband/uverbs0".into(),
            usable: true,
            steps: vec![step],
        };
        let value: serde_json::Value = serde_json::from_str(&json(&[device]).unwrap()).unwrap();
        let expected = serde_json::json!({
            "schema": 1,
            "devices": [{
                "rdma_device": "usnic_0",
                "node": "/dev/infiniband/uverbs0",
                "usable": true,
                "steps": [{
                    "step": "create_qp", "result": "not_tried", "errno": { "name": "EPERM", "number": 1 }, "text": "why",
                }],
            }],
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_step_has_the_same_name_for_people_and_programs() {
        for step in [Step::Sysfs, Step::GetContext, Step::UdpSocket, Step::RegMr] {
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        }
    }
}
