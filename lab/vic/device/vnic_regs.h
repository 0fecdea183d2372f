/*
 * The register map, device commands and descriptors of a Cisco VIC, as the
 * Linux drivers use them.
 *
 * Names and numbers follow the drivers' headers, so that a reader can hold
 * the two side by side; each section names its header. "enic/" stands for
 * drivers/net/ethernet/cisco/enic/, "usnic/" for drivers/infiniband/hw/usnic/.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VNIC_REGS_H
#define VNIC_REGS_H

/* ---- PCI identity: enic/enic_main.c enic_id_table, usnic/usnic_ib_main.c ---- */

enum {
    PCI_VENDOR_CISCO           = 0x1137,
    PCI_DEVICE_VIC_ENET        = 0x0043,    /* the PF, driver enic */
    PCI_DEVICE_VIC_USPACE_NIC  = 0x00cf,    /* a usNIC VF, driver usnic_verbs */
    VIC_REVISION               = 0xa2,
};

/* ---- BAR 0 and its resource table: enic/vnic_resource.h ---- */

enum {
    VNIC_RES_MAGIC     = 0x766e6963,        /* "vnic" */
    VNIC_RES_VERSION   = 0,
    VNIC_RES_STRIDE    = 128,               /* bytes of one control block */
    VNIC_RES_ENTRY     = 12,                /* u8 type, u8 bar, u16, u32 offset, u32 count */
};

enum vnic_res_type {
    RES_TYPE_EOL       = 0,
    RES_TYPE_WQ        = 1,
    RES_TYPE_RQ        = 2,
    RES_TYPE_CQ        = 3,
    RES_TYPE_INTR_CTRL = 10,
    RES_TYPE_DEVCMD    = 16,
};

/*
 * Where this model puts the resources. The drivers take the places from the
 * table; user space maps the whole BAR of its VF, a multiple of the page size.
 */
enum {
    BAR_TABLE          = 0x0000,
    BAR_DEVCMD         = 0x1000,
    BAR_INTR           = 0x2000,
    BAR_WQ             = 0x3000,
    BAR_RQ             = 0x4000,
    BAR_CQ             = 0x5000,
    BAR_REGION_MASK    = 0xfff,
    BAR_SIZE           = 0x8000,            /* a power of two */
    QUEUES_MAX         = 32,                /* control blocks in a region */
};

/* ---- device command block: enic/vnic_devcmd.h, struct vnic_devcmd ---- */

enum {
    DEVCMD_STATUS      = 0x00,
    DEVCMD_CMD         = 0x04,
    DEVCMD_ARGS        = 0x08,
    VNIC_DEVCMD_NARGS  = 15,
    DEVCMD_SIZE        = 128,
    CMD_NUMBER_MASK    = 0x3fff,            /* _CMD_N(); above: direction, flags, type */
};

enum vnic_devcmd_status {
    STAT_NONE  = 0,
    STAT_BUSY  = 1 << 0,
    STAT_ERROR = 1 << 1,                    /* the code is in args[0] */
};

enum vnic_devcmd_error {
    ERR_SUCCESS     = 0,
    ERR_EINVAL      = 1,
    ERR_EFAULT      = 2,
    ERR_ECMDUNKNOWN = 5,
    ERR_EMAXRES     = 10,
};

/* the numbers alone, _CMD_N() of the driver's constants */
enum vnic_devcmd_cmd {
    CMD_MCPU_FW_INFO         = 1,
    CMD_DEV_SPEC             = 2,
    CMD_STATS_CLEAR          = 3,
    CMD_STATS_DUMP           = 4,
    CMD_PACKET_FILTER        = 7,
    CMD_HANG_NOTIFY          = 8,
    CMD_GET_MAC_ADDR         = 9,
    CMD_ADDR_ADD             = 12,
    CMD_ADDR_DEL             = 13,
    CMD_VLAN_ADD             = 14,
    CMD_VLAN_DEL             = 15,
    CMD_NIC_CFG              = 16,
    CMD_RSS_KEY              = 17,
    CMD_RSS_CPU              = 18,
    CMD_SOFT_RESET           = 19,
    CMD_SOFT_RESET_STATUS    = 20,
    CMD_NOTIFY               = 21,
    CMD_OPEN                 = 23,
    CMD_OPEN_STATUS          = 24,
    CMD_CLOSE                = 25,
    CMD_ENABLE               = 28,
    CMD_DISABLE              = 29,
    CMD_INIT_STATUS          = 31,
    CMD_DEINIT               = 34,
    CMD_INIT                 = 35,
    CMD_CAPABILITY           = 36,
    CMD_IAR                  = 38,
    CMD_HANG_RESET           = 39,
    CMD_HANG_RESET_STATUS    = 40,
    CMD_IG_VLAN_REWRITE_MODE = 41,
    CMD_PROXY_BY_INDEX       = 43,
    CMD_STATUS               = 49,
    CMD_INTR_COAL_CONVERT    = 50,
    CMD_ADD_FILTER           = 58,
    CMD_DEL_FILTER           = 59,
    CMD_QP_ENABLE            = 60,
    CMD_QP_DISABLE           = 61,
    CMD_MAX                  = 64,
};

/* CMD_PACKET_FILTER's argument */
enum {
    CMD_PFILTER_DIRECTED      = 0x01,
    CMD_PFILTER_MULTICAST     = 0x02,
    CMD_PFILTER_BROADCAST     = 0x04,
    CMD_PFILTER_PROMISCUOUS   = 0x08,
    CMD_PFILTER_ALL_MULTICAST = 0x10,
};

/* struct vnic_devcmd_fw_info */
enum {
    FW_INFO_STRING     = 32,                /* four strings of so many bytes */
    FW_INFO_VERSION    = 0,
    FW_INFO_BUILD      = 32,
    FW_INFO_HW_VERSION = 64,
    FW_INFO_SERIAL     = 96,
    FW_INFO_OLD_SIZE   = 128,
    FW_INFO_ASIC_REV   = 130,
    FW_INFO_SIZE       = 132,
};

/* struct vnic_devcmd_notify, as words */
enum {
    NOTIFY_CSUM          = 0,               /* sum of the words after it */
    NOTIFY_LINK_STATE    = 1,
    NOTIFY_PORT_SPEED    = 2,               /* Mbit/s */
    NOTIFY_MTU           = 3,
    NOTIFY_LINK_DOWN_CNT = 8,
    NOTIFY_WORDS         = 10,
};

/* CMD_ADD_FILTER's buffer: struct filter_tlv, filter, filter_action (packed) */
enum {
    CLSF_TLV_FILTER          = 0,
    CLSF_TLV_ACTION          = 1,
    CLSF_TLV_HEADER          = 8,           /* u32 type, u32 length */
    FILTER_MAX_BUF_SIZE      = 100,
    FILTER_IPV4_5TUPLE       = 1,           /* the one type usNIC/UDP uses */
    FILTER_SIZE_IPV4         = 24,
    FILTER_TYPE              = 0,
    FILTER_IPV4_FLAGS        = 4,
    FILTER_IPV4_PROTOCOL     = 8,
    FILTER_IPV4_SRC_ADDR     = 12,
    FILTER_IPV4_DST_ADDR     = 16,
    FILTER_IPV4_SRC_PORT     = 20,
    FILTER_IPV4_DST_PORT     = 22,
    FILTER_FIELD_5TUP_PROTO  = 1 << 0,
    FILTER_FIELD_5TUP_SRC_AD = 1 << 1,
    FILTER_FIELD_5TUP_DST_AD = 1 << 2,
    FILTER_FIELD_5TUP_SRC_PT = 1 << 3,
    FILTER_FIELD_5TUP_DST_PT = 1 << 4,
    PROTO_UDP                = 0,           /* enum protocol_e, not IP's numbers */
    PROTO_TCP                = 1,
    FILTER_ACTION_RQ         = 4,           /* filter_action.u.rq_idx */
    FILTER_ACTION_SIZE       = 8,
};

/* ---- CMD_DEV_SPEC's block: enic/vnic_enet.h, struct vnic_enet_config ---- */

enum {
    ENET_CONFIG_FLAGS           = 0,
    ENET_CONFIG_WQ_DESC_COUNT   = 4,
    ENET_CONFIG_RQ_DESC_COUNT   = 8,
    ENET_CONFIG_MTU             = 12,
    ENET_CONFIG_INTR_TIMER_USEC = 36,
    ENET_CONFIG_VF_RQ_COUNT     = 42,
    ENET_CONFIG_SIZE            = 256,      /* newer fields read as 0 */
};

/* ---- CMD_STATS_DUMP's block: enic/vnic_stats.h, offsets in u64 ---- */

enum {
    STATS_TX_FRAMES_OK    = 0,
    STATS_TX_BYTES_OK     = 4,
    STATS_TX_ERRORS       = 9,
    STATS_RX              = 27,             /* struct vnic_rx_stats */
    STATS_RX_FRAMES_OK    = STATS_RX + 0,
    STATS_RX_FRAMES_TOTAL = STATS_RX + 1,
    STATS_RX_BYTES_OK     = STATS_RX + 5,
    STATS_RX_NO_BUFS      = STATS_RX + 10,
    STATS_COUNT           = STATS_RX + 37,
};

/* ---- interrupt control block: enic/vnic_intr.h, struct vnic_intr_ctrl ---- */

enum {
    INTR_MASK_ON_ASSERTION = 0x18,
    INTR_MASK              = 0x20,
    INTR_CREDITS           = 0x28,
    INTR_CREDIT_RETURN     = 0x30,
    INTR_RETURN_CREDITS    = 0xffff,
    INTR_RETURN_UNMASK     = 1 << 16,
};

/* ---- queue control blocks ---- */

/* enic/vnic_wq.h struct vnic_wq_ctrl, enic/vnic_rq.h struct vnic_rq_ctrl */
enum {
    RING_BASE          = 0x00,              /* u64; the same in all three */
    RING_SIZE          = 0x08,              /* descriptors */
    QUEUE_POSTED_INDEX = 0x10,
    QUEUE_CQ_INDEX     = 0x18,
    QUEUE_ENABLE       = 0x20,
    QUEUE_RUNNING      = 0x28,              /* read-only */
    QUEUE_FETCH_INDEX  = 0x30,
    WQ_ERROR_STATUS    = 0x50,
    RQ_ERROR_STATUS    = 0x48,
    RQ_DROPPED_PACKETS = 0x50,
    DESC_SIZE          = 16,                /* of WQ, RQ and CQ alike */
};

/* enic/vnic_cq.h, struct vnic_cq_ctrl */
enum {
    CQ_TAIL             = 0x28,
    CQ_TAIL_COLOR       = 0x30,
    CQ_INTERRUPT_ENABLE = 0x38,
    CQ_ENTRY_ENABLE     = 0x40,
    CQ_MESSAGE_ENABLE   = 0x48,
    CQ_INTERRUPT_OFFSET = 0x50,
    CQ_MESSAGE_ADDR     = 0x58,             /* u64 */
};

/*
 * libfabric writes the WQ's doorbell with 64 bits: the index below, above it
 * hints for prefetching (libfabric prov/usnic, vnic_wq.h).
 */
enum { WQ_POSTED_INDEX_MASK = 0xfff };

/* ---- descriptors ---- */

/* enic/wq_enet_desc.h: le64 address, le16 length, mss, header and flags, vlan */
enum {
    WQ_DESC_ADDRESS      = 0,
    WQ_DESC_LENGTH       = 8,
    WQ_DESC_MSS          = 10,
    WQ_DESC_FLAGS        = 12,
    WQ_DESC_VLAN_TAG     = 14,
    WQ_ENET_LEN_MASK     = 0x3fff,          /* 0 stands for 16 KiB */
    WQ_ENET_LEN_MAX      = 0x4000,
    WQ_ENET_MSS_SHIFT    = 2,
    WQ_ENET_OM_SHIFT     = 10,              /* offload mode, two bits */
    WQ_ENET_OM_MASK      = 3,
    WQ_ENET_OM_CSUM      = 0,               /* mss: 1 IPv4's, 2 TCP's or UDP's checksum */
    WQ_ENET_CSUM_IPV4    = 1,
    WQ_ENET_CSUM_L4      = 2,
    WQ_ENET_EOP          = 1 << 12,
    WQ_ENET_CQ_ENTRY     = 1 << 13,
    WQ_ENET_VLAN_INSERT  = 1 << 15,
};

/* enic/rq_enet_desc.h: le64 address, le16 length and type */
enum {
    RQ_DESC_ADDRESS      = 0,
    RQ_DESC_LENGTH_TYPE  = 8,
    RQ_ENET_LEN_MASK     = 0x3fff,          /* 0 stands for 16 KiB */
    RQ_ENET_LEN_MAX      = 0x4000,
    RQ_ENET_TYPE_SHIFT   = 14,
    RQ_ENET_TYPE_NOT_SOP = 1,               /* continues a packet, never starts one */
};

/* enic/cq_desc.h, enic/cq_enet_desc.h */
enum {
    CQ_DESC_COMPLETED_INDEX = 0,
    CQ_DESC_Q_NUMBER        = 2,
    CQ_DESC_BYTES           = 8,
    CQ_DESC_FLAGS           = 14,
    CQ_DESC_TYPE_COLOR      = 15,           /* written last */
    CQ_DESC_COLOR_SHIFT     = 7,
    CQ_RQ_EOP               = 1 << 14,      /* in the completed index */
    CQ_RQ_SOP               = 1 << 15,
    CQ_RQ_TRUNCATED         = 1 << 14,      /* in the bytes */
};

enum cq_desc_types {
    CQ_DESC_TYPE_WQ_ENET       = 0,
    CQ_DESC_TYPE_RQ_ENET       = 3,
    CQ_DESC_TYPE_CLASSIFIER    = 7,         /* libfabric prov/usnic, cq_desc.h */
};

/* CQ_ENET_RQ_DESC_FLAGS_* */
enum {
    RX_TCP_UDP_CSUM_OK = 1 << 0,
    RX_UDP             = 1 << 1,
    RX_TCP             = 1 << 2,
    RX_IPV4_CSUM_OK    = 1 << 3,
    RX_IPV4            = 1 << 5,
    RX_IPV4_FRAGMENT   = 1 << 6,
    RX_FCS_OK          = 1 << 7,
};

#endif
