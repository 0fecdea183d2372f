//! PCI configuration space (include/uapi/linux/pci_regs.h).

/// Where the pointer to the first capability is, and where extended capabilities begin.
const CAPABILITY_LIST: usize = 0x34;
const HEADER: usize = 64;
const EXTENDED: usize = 256;
const CAPABILITY_EXPRESS: u8 = 0x10;
const EXTENDED_ACS: u32 = 0x000d;
/// `PCI_EXP_DEVCTL`, `PCI_ACS_CTRL`: offsets in their capabilities.
const DEVICE_CONTROL: usize = 8;
const ACS_CONTROL: usize = 6;
/// More capabilities than there is room for.
const MOST: usize = 64;

/// What a register says.
#[derive(Debug, PartialEq, Eq)]
pub enum Register {
    Is(u16),
    /// The function has no such capability.
    NoCapability,
    /// So much of configuration space only root is shown (`pci_read_config()`).
    NotShown,
}

/// The Device Control register of PCI Express.
pub fn device_control(config: &[u8]) -> Register {
    if config.len() <= HEADER {
        return Register::NotShown;
    }
    let mut at = config.get(CAPABILITY_LIST).copied().map_or(0, usize::from);
    for _ in 0..MOST {
        if at < HEADER {
            break;
        }
        let (Some(id), Some(next)) = (config.get(at), config.get(at + 1)) else { break };
        if *id == CAPABILITY_EXPRESS {
            return word(config, at + DEVICE_CONTROL);
        }
        at = (*next).into();
    }
    Register::NoCapability
}

/// The control register of Access Control Services.
pub fn acs_control(config: &[u8]) -> Register {
    if config.len() <= EXTENDED {
        return Register::NotShown;
    }
    let mut at = EXTENDED;
    for _ in 0..MOST {
        let Some(header) = config.get(at..at + 4).and_then(|bytes| bytes.first_chunk()) else { break };
        let header = u32::from_le_bytes(*header);
        if header & 0xffff == EXTENDED_ACS {
            return word(config, at + ACS_CONTROL);
        }
        at = usize::try_from(header >> 20).unwrap_or(0);
        if at < EXTENDED {
            break;
        }
    }
    Register::NoCapability
}

fn word(config: &[u8], at: usize) -> Register {
    let bytes = config.get(at..at + 2).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(Register::NotShown, |bytes| Register::Is(u16::from_le_bytes(*bytes)))
}

/// Configuration space with PCI Express and ACS and these control registers.
#[cfg(test)]
pub fn described(device_control: u16, acs_control: u16) -> Vec<u8> {
    let mut config = vec![0; 4096];
    config[CAPABILITY_LIST] = 0x40;
    config[0x40..0x42].copy_from_slice(&[0x01, 0x50]);
    config[0x50..0x52].copy_from_slice(&[CAPABILITY_EXPRESS, 0]);
    config[0x58..0x5a].copy_from_slice(&device_control.to_le_bytes());
    config[0x100..0x104].copy_from_slice(&(0x0001_u32 | 0x150 << 20).to_le_bytes());
    config[0x150..0x154].copy_from_slice(&EXTENDED_ACS.to_le_bytes());
    config[0x156..0x158].copy_from_slice(&acs_control.to_le_bytes());
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_found_behind_other_capabilities() {
        let config = described(0x2810, 0x005d);
        assert_eq!(device_control(&config), Register::Is(0x2810));
        assert_eq!(acs_control(&config), Register::Is(0x005d));
    }

    #[test]
    fn what_an_ordinary_user_is_shown_tells_nothing() {
        let config = &described(0, 0)[..64];
        assert_eq!((device_control(config), acs_control(config)), (Register::NotShown, Register::NotShown));
    }

    #[test]
    fn a_list_in_a_circle_ends() {
        let mut config = vec![0; 4096];
        config[CAPABILITY_LIST] = 0x40;
        config[0x40..0x42].copy_from_slice(&[1, 0x40]);
        config[0x100..0x104].copy_from_slice(&(1_u32 | 0x100 << 20).to_le_bytes());
        assert_eq!(device_control(&config), Register::NoCapability);
        assert_eq!(acs_control(&config), Register::NoCapability);
    }
}
