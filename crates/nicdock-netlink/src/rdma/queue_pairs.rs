//! Counts the queue pairs of a device by the kernel module that has them.

use std::collections::BTreeMap;

use super::abi::{attr, command, message_type};
use crate::ParseError;
use crate::wire::{Attributes, Messages};

/// Reads the modules of the kernel that have queue pairs, with how many, from the answer to [`Request::queue_pairs`](super::Request::queue_pairs).
/// Those of processes have no name there (`fill_res_name_pid`, drivers/infiniband/core/nldev.c).
pub fn parse_kernel_users(bytes: &[u8]) -> Result<BTreeMap<String, u32>, ParseError> {
    // The dump answers with the command's own type, of older kernels with GET.
    let kinds = [message_type(command::RES_QP_GET), message_type(command::GET)];
    let mut users = BTreeMap::<String, u32>::new();
    for message in Messages::new(bytes) {
        let message = message?;
        if !kinds.contains(&message.kind) {
            continue;
        }
        for list in Attributes::new(message.payload()) {
            let list = list?;
            if list.kind != attr::RES_QP {
                continue;
            }
            for entry in Attributes::new(list.payload) {
                let entry = entry?;
                if entry.kind == attr::RES_QP_ENTRY
                    && let Some(name) = kernel_name(entry.payload)?
                {
                    *users.entry(name).or_default() += 1;
                }
            }
        }
    }
    Ok(users)
}

fn kernel_name(entry: &[u8]) -> Result<Option<String>, ParseError> {
    for attribute in Attributes::new(entry) {
        let attribute = attribute?;
        if attribute.kind == attr::RES_KERN_NAME {
            return Ok(Some(attribute.text()?.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{encode, push_attribute};

    fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, kind, payload);
        bytes
    }

    #[test]
    fn queue_pairs_of_the_kernel_are_counted_by_module_and_those_of_processes_are_not() {
        let kernel = |name: &[u8]| attribute(attr::RES_QP_ENTRY, &attribute(attr::RES_KERN_NAME, name));
        // RDMA_NLDEV_ATTR_RES_PID
        let process = attribute(attr::RES_QP_ENTRY, &attribute(28, &4711_u32.to_ne_bytes()));
        let list = [kernel(b"ib_core\0"), kernel(b"nvme_rdma\0"), process, kernel(b"nvme_rdma\0")].concat();
        let message = encode(message_type(command::RES_QP_GET), 2, 1, &attribute(attr::RES_QP, &list));
        let users: Vec<(String, u32)> = parse_kernel_users(&message).unwrap().into_iter().collect();
        assert_eq!(users, [("ib_core".to_owned(), 1), ("nvme_rdma".to_owned(), 2)]);
        assert!(parse_kernel_users(&message[..message.len() - 8]).is_err());
    }
}
