//! What a driver asks for in GET_CONTEXT, where zeroes are not enough.

/// The driver's part of the command, by the driver of the PCI function (`device/driver`).
///
/// usNIC and soft-RoCE ask for nothing, and they are what the lab has; the others are written by their drivers' headers
/// and have not been run.
pub fn context_request(driver: Option<&str>) -> Vec<u8> {
    match driver {
        // struct mlx5_ib_alloc_ucontext_req_v2 (mlx5-abi.h): total_num_bfregs, num_low_latency_bfregs as libmlx5 has
        // them by default; no doorbell page at all is refused (calc_total_bfregs()).
        Some(name) if name.starts_with("mlx5_core") => [words(&[16, 4]), vec![0; 24]].concat(),
        // struct efa_ibv_alloc_ucontext_cmd (efa-abi.h): that the program knows of TX_BATCH and MIN_SQ_WR, without
        // which devices that have them refuse (efa_user_comp_handshake()).
        Some("efa") => words(&[3, 0]),
        // struct irdma_alloc_ucontext_req (irdma-abi.h): rsvd32, then userspace_ver, IRDMA_ABI_VER. The driver of the
        // function is the Ethernet one.
        Some("ice" | "i40e") => [words(&[0]), vec![5, 0, 0, 0], vec![0; 8]].concat(),
        _ => Vec::new(),
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drivers_part_is_as_long_as_its_struct() {
        // sizeof in /usr/include/rdma/{mlx5,efa,irdma}-abi.h
        assert_eq!(context_request(Some("mlx5_core")).len(), 32);
        assert_eq!(context_request(Some("efa")).len(), 8);
        assert_eq!(context_request(Some("ice")).len(), 16);
        assert_eq!(context_request(Some("enic")).len(), 0);
        assert_eq!(context_request(None).len(), 0);
    }
}
