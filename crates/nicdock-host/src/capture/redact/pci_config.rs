//! PCI configuration space without what identifies a card.

/// Where the extended capabilities begin (include/uapi/linux/pci_regs.h, `PCI_CFG_SPACE_SIZE`).
const EXTENDED: usize = 256;
/// The type 0 or 1 header.
const HEADER: usize = 64;
const CAPABILITY_LIST: usize = 0x34;
const CAPABILITY_EXPRESS: u8 = 0x10;
/// `PCI_CAP_EXP_ENDPOINT_SIZEOF_V2`.
const EXPRESS_LENGTH: usize = 60;
const EXTENDED_ACS: u16 = 0x000d;
/// Header, capabilities and control.
const ACS_LENGTH: usize = 8;
/// More capabilities than there is room for.
const MOST: usize = 64;

/// The same with zeroes for all but the header, the lists of capabilities, PCI Express and ACS. Base addresses and the card's serial
/// number (`PCI_EXT_CAP_ID_DSN`), which often is its MAC address, are gone.
pub fn redact(old: &[u8]) -> Vec<u8> {
    let mut new = vec![0; old.len()];
    let mut keep = |from: usize, length: usize| {
        let to = old.len().min(from.saturating_add(length));
        if let (Some(new), Some(old)) = (new.get_mut(from..to), old.get(from..to)) {
            new.copy_from_slice(old);
        }
    };
    // Identity, status and class; the pointer to the capabilities.
    keep(0, 16);
    keep(CAPABILITY_LIST, 1);
    let byte = |at: usize| old.get(at).copied();
    let mut at = byte(CAPABILITY_LIST).map_or(0, usize::from);
    for _ in 0..MOST {
        let (Some(id), Some(next)) = (byte(at), byte(at + 1)) else { break };
        if !(HEADER..EXTENDED).contains(&at) {
            break;
        }
        keep(at, if id == CAPABILITY_EXPRESS { EXPRESS_LENGTH } else { 2 });
        at = next.into();
    }
    let mut at = EXTENDED;
    for _ in 0..MOST {
        let Some(header) = old.get(at..at + 4).and_then(|bytes| bytes.first_chunk()) else { break };
        let header = u32::from_le_bytes(*header);
        let [id, next] = [header & 0xffff, header >> 20];
        keep(at, if id == u32::from(EXTENDED_ACS) { ACS_LENGTH } else { 4 });
        at = usize::try_from(next).unwrap_or(0);
        if at < EXTENDED {
            break;
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_number_goes_and_express_and_acs_stay() {
        let mut config = vec![0xee; 4096];
        config[CAPABILITY_LIST] = 0x40;
        config[0x40..0x42].copy_from_slice(&[CAPABILITY_EXPRESS, 0]);
        config[0x100..0x104].copy_from_slice(&(0x0003_u32 | 0x148 << 20).to_le_bytes());
        config[0x148..0x14c].copy_from_slice(&u32::from(EXTENDED_ACS).to_le_bytes());
        let new = redact(&config);
        assert_eq!(new[0x104..0x10c], [0; 8], "the serial number");
        assert_eq!(new[16..CAPABILITY_LIST], [0; CAPABILITY_LIST - 16], "base addresses");
        assert_eq!(new[0x40..0x7c], config[0x40..0x7c]);
        assert_eq!(new[0x148..0x150], config[0x148..0x150]);
        assert_eq!(new.len(), config.len());
    }

    #[test]
    fn a_list_that_leads_nowhere_or_in_a_circle_ends() {
        for pointer in [0x40, 0xff, 0x10] {
            let mut config = vec![0x40; 4096];
            config[CAPABILITY_LIST] = pointer;
            redact(&config);
            redact(&config[..70]);
        }
    }
}
