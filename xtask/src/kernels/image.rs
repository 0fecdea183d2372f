//! Takes the uncompressed kernel out of a bzImage. Layout: Linux, Documentation/arch/x86/boot.rst.

use anyhow::{Context, Result, bail};

/// Number of 512-byte sectors of real-mode code, after the boot sector.
const SETUP_SECTS: usize = 0x1f1;
const HEADER_MAGIC: usize = 0x202;
/// Where the compressed kernel starts, counted from the end of the real-mode code, and how long it is.
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// The compressed kernel in a bzImage, and the program that decompresses it.
pub fn payload(bzimage: &[u8]) -> Result<(&[u8], &'static str)> {
    if bzimage.get(HEADER_MAGIC..HEADER_MAGIC + 4) != Some(b"HdrS") {
        bail!("not a bzImage: it has no HdrS");
    }
    let word = |at: usize| -> Option<usize> {
        let bytes = bzimage.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let setup = match bzimage[SETUP_SECTS] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (setup + 1) * 512 + word(PAYLOAD_OFFSET).context("the bzImage is cut short")?;
    let length = word(PAYLOAD_LENGTH).context("the bzImage is cut short")?;
    let payload = bzimage.get(start..start + length).context("the bzImage is cut short")?;
    let program = decompressor(payload)?;
    // The kernel's build appends the uncompressed size where the format has no such field (scripts/Makefile.lib, size_append).
    let appended = if program == "gzip" { 0 } else { 4 };
    Ok((&payload[..length - appended], program))
}

fn decompressor(payload: &[u8]) -> Result<&'static str> {
    match payload {
        [0xfd, b'7', b'z', ..] => Ok("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok("zstd"),
        [0x1f, 0x8b, ..] => Ok("gzip"),
        _ => bail!("unknown kernel compression (it starts with {:02x?})", &payload[..payload.len().min(4)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * 512 + 16];
        image[SETUP_SECTS] = 1;
        image[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET] = 16;
        image[PAYLOAD_LENGTH] = u8::try_from(payload.len()).expect("a short payload");
        [&image, payload, b"trailer"].concat()
    }

    #[test]
    fn the_payload_is_found_with_its_decompressor() {
        let image = bzimage(b"\xfd7zXZ\0kernelSIZE");
        assert_eq!(payload(&image).expect("a payload"), (&b"\xfd7zXZ\0kernel"[..], "xz"));
    }

    #[test]
    fn a_file_that_is_no_kernel_or_cut_short_is_refused() {
        assert!(payload(b"#!/bin/sh").is_err());
        let image = bzimage(b"\xfd7zXZ\0kernel");
        assert!(payload(&image[..image.len() - 10]).is_err());
    }
}
