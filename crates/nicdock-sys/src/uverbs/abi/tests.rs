use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command as Program, Stdio};

use super::*;

/// What the header of this machine's kernel says: every command as C lays it out, and where answers have their fields.
const OF_THE_HEADER: &str = r#"
#include <rdma/ib_user_verbs.h>
#include <stddef.h>
#include <stdio.h>

static void dump(const char *name, int number, const void *bytes, size_t size)
{
    printf("%s %d ", name, number);
    for (size_t i = sizeof(__u64); i < size; i++)  /* behind the answer's address */
        printf("%02x", ((const unsigned char *)bytes)[i]);
    printf("\n");
}
#define DUMP(NAME, type, ...) do { struct ib_uverbs_##type c = { __VA_ARGS__ }; \
    dump(#type, IB_USER_VERBS_CMD_##NAME, &c, sizeof(c)); } while (0)
#define AT(type, field) printf(#type "." #field " %zu -\n", offsetof(struct ib_uverbs_##type, field))

int main(void)
{
    DUMP(GET_CONTEXT, get_context);
    DUMP(QUERY_DEVICE, query_device);
    DUMP(QUERY_PORT, query_port, .port_num = 3);
    DUMP(ALLOC_PD, alloc_pd);
    DUMP(REG_MR, reg_mr, .start = 0x1122334455667788, .length = 4096, .hca_va = 0x1122334455667788, .pd_handle = 7,
         .access_flags = 1);
    DUMP(CREATE_CQ, create_cq, .cqe = 32, .comp_channel = -1);
    DUMP(CREATE_QP, create_qp, .pd_handle = 7, .send_cq_handle = 8, .recv_cq_handle = 9, .max_send_wr = 32,
         .max_recv_wr = 32, .qp_type = IB_UVERBS_QPT_UD);
    AT(get_context_resp, async_fd);
    AT(query_device_resp, vendor_id);
    AT(query_device_resp, vendor_part_id);
    AT(query_device_resp, phys_port_cnt);
    AT(query_port_resp, state);
    AT(query_port_resp, active_mtu);
    AT(query_port_resp, link_layer);
    AT(alloc_pd_resp, pd_handle);
    AT(create_cq_resp, cq_handle);
    AT(create_qp_resp, qpn);
    AT(create_qp_resp, driver_data);
    printf("size.cmd_hdr %zu -\n", sizeof(struct ib_uverbs_cmd_hdr));
    return 0;
}
"#;

/// Compiles and runs [`OF_THE_HEADER`]: name, number and bytes of each line.
fn of_the_header() -> BTreeMap<String, (usize, String)> {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("layout");
    // The enum of queue pair types is in the other header.
    let options = ["-include", "rdma/ib_user_ioctl_verbs.h", "-x", "c", "-", "-o"];
    let mut compiler =
        Program::new("cc").args(options).arg(&binary).stdin(Stdio::piped()).spawn().expect("a C compiler");
    compiler.stdin.take().unwrap().write_all(OF_THE_HEADER.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success(), "rdma/ib_user_verbs.h of linux-libc-dev");
    let text = String::from_utf8(Program::new(&binary).output().unwrap().stdout).unwrap();
    let line = |line: &str| {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        (word(), (word().parse().unwrap(), word()))
    };
    text.lines().map(line).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

#[test]
fn commands_and_answers_are_laid_out_as_the_kernels_header_has_them() {
    let header = of_the_header();
    let commands = [
        ("get_context", Request::get_context(&[])),
        ("query_device", Request::query_device()),
        ("query_port", Request::query_port(3)),
        ("alloc_pd", Request::alloc_pd()),
        ("reg_mr", Request::reg_mr(7, 0x1122_3344_5566_7788, 4096)),
        ("create_cq", Request::create_cq(32)),
        ("create_qp", Request::create_usnic_qp(7, 8, 9, 5)),
    ];
    for (name, request) in commands {
        let (number, fields) = &header[name];
        assert_eq!(request.command as usize, *number, "{name}");
        let ours = hex(&request.fields);
        assert!(ours.starts_with(fields), "{name}: {ours} instead of {fields}");
    }
    let at = |field: &str| header[field].0;
    assert_eq!(at("size.cmd_hdr"), 8);
    for first in ["get_context_resp.async_fd", "alloc_pd_resp.pd_handle", "create_cq_resp.cq_handle"] {
        assert_eq!(at(first), 0, "{first}");
    }
    let mut answer = Answer(Box::new([0; ANSWER_LEN]));
    let mut put = |field: &str, bytes: &[u8]| answer.0[at(field)..][..bytes.len()].copy_from_slice(bytes);
    put("query_device_resp.vendor_id", &0x1137_u32.to_ne_bytes());
    put("query_device_resp.vendor_part_id", &0xcf_u32.to_ne_bytes());
    put("query_device_resp.phys_port_cnt", &[2]);
    assert_eq!(answer.device(), DeviceAttributes { vendor_id: 0x1137, vendor_part_id: 0xcf, ports: 2 });

    let mut answer = Answer(Box::new([0; ANSWER_LEN]));
    let mut put = |field: &str, byte: u8| answer.0[at(field)] = byte;
    put("query_port_resp.state", 4);
    put("query_port_resp.active_mtu", 3);
    put("query_port_resp.link_layer", 2);
    assert_eq!(answer.port(), PortAttributes { state: 4, active_mtu: 3, link_layer: 2 });

    let mut answer = Answer(Box::new([0; ANSWER_LEN]));
    let mut put = |field: &str, word: u32| answer.0[at(field)..][..4].copy_from_slice(&word.to_ne_bytes());
    put("create_qp_resp.qpn", 17);
    put("create_qp_resp.driver_data", 3);
    assert_eq!(answer.usnic_qp(), UsnicQueuePair { number: 17, vf: 3 });
}

#[test]
fn a_message_counts_its_words_and_says_where_to_answer() {
    let message = Request::query_port(1).message(0x7fff_0000_1000);
    assert_eq!(message.len(), 24);
    let mut expected = Vec::new();
    expected.extend(2_u32.to_ne_bytes());
    expected.extend(6_u16.to_ne_bytes());
    expected.extend(256_u16.to_ne_bytes());
    expected.extend(0x7fff_0000_1000_u64.to_ne_bytes());
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(message, expected);
}

#[test]
fn a_usnic_queue_pair_is_asked_for_as_its_driver_reads_it() {
    // struct usnic_ib_create_qp_cmd: trans_type, sock_fd; no more, as the driver's own library sends.
    let message = Request::create_usnic_qp(7, 8, 9, 5).message(0);
    let driver: Vec<u8> = [2_u32, 5].iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert!(message.ends_with(&driver) && message.len() == 16 + 48 + driver.len());
}

#[test]
fn drivers_that_read_more_than_the_core_find_zeroes() {
    for request in [Request::get_context(&[]), Request::alloc_pd(), Request::reg_mr(1, 4096, 4096)] {
        assert!(request.fields.ends_with(&[0; DRIVER_ROOM]), "{request:?}");
    }
    assert_eq!(&Request::get_context(&[1, 2]).fields[..3], [1, 2, 0]);
}
