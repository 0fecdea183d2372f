//! How many objects a device has.

use super::abi::{attr, command, message_type};
use crate::ParseError;
use crate::wire::{Attributes, Messages};

/// What the kernel calls user contexts (`fill_res_info`, drivers/infiniband/core/nldev.c).
const CONTEXTS: &str = "ctx";

/// Reads the number of user contexts from the answer to [`Request::resources`](super::Request::resources); `None` if the kernel
/// does not count them.
pub fn parse_contexts(bytes: &[u8]) -> Result<Option<u64>, ParseError> {
    // The single request is answered with RES_GET, of older kernels with GET.
    let kinds = [message_type(command::RES_GET), message_type(command::GET)];
    for message in Messages::new(bytes) {
        let message = message?;
        if !kinds.contains(&message.kind) {
            continue;
        }
        for summary in Attributes::new(message.payload()) {
            let summary = summary?;
            if summary.kind != attr::RES_SUMMARY {
                continue;
            }
            for entry in Attributes::new(summary.payload) {
                let entry = entry?;
                if entry.kind == attr::RES_SUMMARY_ENTRY
                    && let Some(count) = contexts(entry.payload)?
                {
                    return Ok(Some(count));
                }
            }
        }
    }
    Ok(None)
}

fn contexts(entry: &[u8]) -> Result<Option<u64>, ParseError> {
    let (mut is_it, mut current) = (false, None);
    for attribute in Attributes::new(entry) {
        let attribute = attribute?;
        match attribute.kind {
            attr::RES_SUMMARY_ENTRY_NAME => is_it = attribute.text()? == CONTEXTS,
            attr::RES_SUMMARY_ENTRY_CURR => current = Some(attribute.u64()?),
            _ => {}
        }
    }
    Ok(current.filter(|_| is_it))
}
