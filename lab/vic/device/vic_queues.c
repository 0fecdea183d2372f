/*
 * Completion, receive and work queues: rings of 16-byte descriptors in the
 * guest's memory, read and written through the function's own IOMMU domain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "net/checksum.h"
#include "net/eth.h"
#include "cisco_vic.h"

/* a ring as its control block describes it */
typedef struct Ring {
    unsigned ctrl;                          /* of its control block */
    uint64_t base;
    uint32_t size;
    uint32_t fetch;
} Ring;

static bool ring_open(VicFunction *f, unsigned region, unsigned q, Ring *r)
{
    r->ctrl = region + q * VNIC_RES_STRIDE;
    r->base = vic_reg64(f, r->ctrl + RING_BASE);
    r->size = vic_reg32(f, r->ctrl + RING_SIZE);
    r->fetch = vic_reg32(f, r->ctrl + QUEUE_FETCH_INDEX);
    return vic_reg32(f, r->ctrl + QUEUE_ENABLE) && r->fetch < r->size;
}

static bool ring_read(VicFunction *f, const Ring *r, uint32_t index, uint8_t *desc)
{
    return pci_dma_read(f->pdev, r->base + (uint64_t)index * DESC_SIZE, desc,
                        DESC_SIZE) == MEMTX_OK;
}

static void ring_advance(VicFunction *f, Ring *r)
{
    r->fetch = (r->fetch + 1) % r->size;
    vic_set_reg32(f, r->ctrl + QUEUE_FETCH_INDEX, r->fetch);
}

/* ---- completion queue ---- */

/*
 * The consumer finds an entry by its color bit, which turns over with each
 * pass; so the byte that holds it is written after all others.
 */
static void cq_write_entry(VicFunction *f, unsigned ctrl, uint8_t *entry)
{
    uint32_t size = vic_reg32(f, ctrl + RING_SIZE);
    uint32_t tail = vic_reg32(f, ctrl + CQ_TAIL);
    uint32_t color = vic_reg32(f, ctrl + CQ_TAIL_COLOR) & 1;
    uint64_t address;

    if (tail >= size) {
        return;
    }
    address = vic_reg64(f, ctrl + RING_BASE) + (uint64_t)tail * DESC_SIZE;
    entry[CQ_DESC_TYPE_COLOR] |= color << CQ_DESC_COLOR_SHIFT;
    pci_dma_write(f->pdev, address, entry, CQ_DESC_TYPE_COLOR);
    smp_wmb();
    pci_dma_write(f->pdev, address + CQ_DESC_TYPE_COLOR,
                  entry + CQ_DESC_TYPE_COLOR, 1);
    if (++tail == size) {
        tail = 0;
        vic_set_reg32(f, ctrl + CQ_TAIL_COLOR, !color);
    }
    vic_set_reg32(f, ctrl + CQ_TAIL, tail);
}

static void cq_put(VicFunction *f, unsigned q, uint8_t *entry)
{
    unsigned ctrl = BAR_CQ + q * VNIC_RES_STRIDE;

    if (q >= f->cq_count) {
        return;
    }
    if (vic_reg32(f, ctrl + CQ_ENTRY_ENABLE)) {
        cq_write_entry(f, ctrl, entry);
    }
    if (vic_reg32(f, ctrl + CQ_MESSAGE_ENABLE)) {
        uint32_t tail = cpu_to_le32(vic_reg32(f, ctrl + CQ_TAIL));

        pci_dma_write(f->pdev, vic_reg64(f, ctrl + CQ_MESSAGE_ADDR), &tail, 4);
    }
    if (vic_reg32(f, ctrl + CQ_INTERRUPT_ENABLE)) {
        vic_interrupt(f, vic_reg32(f, ctrl + CQ_INTERRUPT_OFFSET));
    }
}

/* ---- receive queue ---- */

static bool l4_checksum_good(const uint8_t *frame, unsigned ip_header_len,
                             unsigned l4_len)
{
    uint8_t protocol = frame[23];
    uint8_t *l4 = (uint8_t *)frame + ETH_HLEN + ip_header_len;
    uint32_t sum;

    if (protocol == IP_PROTO_UDP && l4_len >= 8) {
        if (lduw_be_p(l4 + 6) == 0) {
            return true;                    /* UDP without a checksum */
        }
    } else if (protocol != IP_PROTO_TCP || l4_len < 20) {
        return false;
    }
    sum = net_checksum_add(l4_len, l4);
    sum += net_checksum_add(8, (uint8_t *)frame + 26);
    return net_checksum_finish(sum + protocol + l4_len) == 0;
}

/* what the VIC found in the headers; libfabric drops what lacks the OKs */
static uint8_t rx_header_flags(const uint8_t *frame, size_t len)
{
    unsigned header_len, total_len;
    uint8_t flags = RX_IPV4;

    if (len < ETH_HLEN + 20 || lduw_be_p(frame + 12) != ETH_P_IP) {
        return 0;
    }
    header_len = (frame[14] & 15) * 4;
    total_len = lduw_be_p(frame + 16);
    if (header_len < 20 || total_len < header_len || len < ETH_HLEN + total_len) {
        return flags;
    }
    if (net_raw_checksum((uint8_t *)frame + ETH_HLEN, header_len) == 0) {
        flags |= RX_IPV4_CSUM_OK;
    }
    flags |= frame[23] == IP_PROTO_UDP ? RX_UDP : 0;
    flags |= frame[23] == IP_PROTO_TCP ? RX_TCP : 0;
    if (lduw_be_p(frame + 20) & 0x3fff) {   /* more fragments, or an offset */
        return flags | RX_IPV4_FRAGMENT;
    }
    if (l4_checksum_good(frame, header_len, total_len - header_len)) {
        flags |= RX_TCP_UDP_CSUM_OK;
    }
    return flags;
}

static unsigned rq_desc_type(const uint8_t *desc)
{
    return lduw_le_p(desc + RQ_DESC_LENGTH_TYPE) >> RQ_ENET_TYPE_SHIFT;
}

/* is the descriptor after this one posted, and for a packet's continuation? */
static bool rq_continues(VicFunction *f, const Ring *r, uint32_t posted)
{
    uint32_t next = (r->fetch + 1) % r->size;
    uint8_t desc[DESC_SIZE];

    return next != posted && ring_read(f, r, next, desc) &&
           rq_desc_type(desc) == RQ_ENET_TYPE_NOT_SOP;
}

bool vic_rq_deliver(VicFunction *f, unsigned q, const uint8_t *frame, size_t len)
{
    Ring r;
    uint32_t posted;
    uint8_t flags = RX_FCS_OK | rx_header_flags(frame, len);
    uint16_t sop = CQ_RQ_SOP;

    if (q >= f->rq_count || !ring_open(f, BAR_RQ, q, &r)) {
        return false;
    }
    posted = vic_reg32(f, r.ctrl + QUEUE_POSTED_INDEX) % r.size;

    while (len) {
        uint8_t desc[DESC_SIZE], entry[DESC_SIZE] = { 0 };
        uint32_t room, bytes;

        if (r.fetch == posted) {
            uint32_t dropped = vic_reg32(f, r.ctrl + RQ_DROPPED_PACKETS);

            vic_set_reg32(f, r.ctrl + RQ_DROPPED_PACKETS, dropped + 1);
            return false;
        }
        if (!ring_read(f, &r, r.fetch, desc)) {
            vic_set_reg32(f, r.ctrl + RQ_ERROR_STATUS, ERR_EFAULT);
            return false;
        }
        if (sop && rq_desc_type(desc) == RQ_ENET_TYPE_NOT_SOP) {
            ring_advance(f, &r);            /* left over from a shorter packet */
            continue;
        }

        room = lduw_le_p(desc + RQ_DESC_LENGTH_TYPE) & RQ_ENET_LEN_MASK;
        bytes = MIN(room ? room : RQ_ENET_LEN_MAX, len);
        if (pci_dma_write(f->pdev, ldq_le_p(desc + RQ_DESC_ADDRESS), frame,
                          bytes) != MEMTX_OK) {
            vic_set_reg32(f, r.ctrl + RQ_ERROR_STATUS, ERR_EFAULT);
            return false;
        }
        frame += bytes;
        len -= bytes;
        if (len && !rq_continues(f, &r, posted)) {
            /*
             * Truncated. The VIC reports 0 bytes and clears FCS_OK; enic and
             * libfabric tell truncation from a bad FCS by the 0.
             */
            bytes = CQ_RQ_TRUNCATED;
            flags &= ~RX_FCS_OK;
            len = 0;
        }

        stw_le_p(entry + CQ_DESC_COMPLETED_INDEX,
                 r.fetch | sop | (len ? 0 : CQ_RQ_EOP));
        stw_le_p(entry + CQ_DESC_Q_NUMBER, q);
        stw_le_p(entry + CQ_DESC_BYTES, bytes);
        entry[CQ_DESC_FLAGS] = flags;
        entry[CQ_DESC_TYPE_COLOR] =
            f->is_pf ? CQ_DESC_TYPE_RQ_ENET : CQ_DESC_TYPE_CLASSIFIER;
        ring_advance(f, &r);
        cq_put(f, vic_reg32(f, r.ctrl + QUEUE_CQ_INDEX), entry);
        sop = 0;
    }
    return true;
}

/* ---- work queue ---- */

enum { WQ_FRAME_MAX = 128 * KiB };

/* a frame under assembly from its descriptors */
typedef struct TxFrame {
    uint8_t *data;                          /* WQ_FRAME_MAX, and room for a tag */
    uint32_t len;
    bool bad;
} TxFrame;

static void tx_gather(VicFunction *f, const uint8_t *desc, TxFrame *frame)
{
    uint32_t len = lduw_le_p(desc + WQ_DESC_LENGTH) & WQ_ENET_LEN_MASK;

    len = len ? len : WQ_ENET_LEN_MAX;
    if (frame->len + len > WQ_FRAME_MAX ||
        pci_dma_read(f->pdev, ldq_le_p(desc + WQ_DESC_ADDRESS),
                     frame->data + frame->len, len) != MEMTX_OK) {
        frame->bad = true;
        return;
    }
    frame->len += len;
}

/* usNIC asks for both checksums with every frame and leaves the fields zero */
static void tx_checksums(const uint8_t *desc, TxFrame *frame)
{
    unsigned flags = lduw_le_p(desc + WQ_DESC_FLAGS);
    unsigned want = lduw_le_p(desc + WQ_DESC_MSS) >> WQ_ENET_MSS_SHIFT;

    if ((flags >> WQ_ENET_OM_SHIFT & WQ_ENET_OM_MASK) != WQ_ENET_OM_CSUM ||
        !(want & (WQ_ENET_CSUM_IPV4 | WQ_ENET_CSUM_L4))) {
        return;
    }
    net_checksum_calculate(frame->data, frame->len,
                           (want & WQ_ENET_CSUM_IPV4 ? CSUM_IP : 0) |
                           (want & WQ_ENET_CSUM_L4 ? CSUM_TCP | CSUM_UDP : 0));
}

static void tx_insert_vlan(const uint8_t *desc, TxFrame *frame)
{
    if (!(lduw_le_p(desc + WQ_DESC_FLAGS) & WQ_ENET_VLAN_INSERT) ||
        frame->len < ETH_HLEN) {
        return;
    }
    memmove(frame->data + 16, frame->data + 12, frame->len - 12);
    stw_be_p(frame->data + 12, ETH_P_VLAN);
    stw_be_p(frame->data + 14, lduw_le_p(desc + WQ_DESC_VLAN_TAG));
    frame->len += 4;
}

static void tx_finish(VicFunction *f, const Ring *r, const uint8_t *desc,
                      TxFrame *frame)
{
    VicState *vic = f->vic;

    if (frame->bad) {
        vic_set_reg32(f, r->ctrl + WQ_ERROR_STATUS, ERR_EFAULT);
        vic->stats[STATS_TX_ERRORS]++;
    } else {
        tx_checksums(desc, frame);
        tx_insert_vlan(desc, frame);
        vic_transmit(vic, frame->data, frame->len);
    }
    frame->len = 0;
    frame->bad = false;
}

void vic_wq_run(VicFunction *f, unsigned q)
{
    Ring r;
    uint32_t posted;
    g_autofree uint8_t *data = NULL;
    TxFrame frame = { 0 };

    /* CMD_QP_ENABLE starts both halves of a queue pair (CMD_QP_RQWQ) */
    if (q >= f->wq_count || !ring_open(f, BAR_WQ, q, &r) ||
        (!f->is_pf && !f->qp_enabled[q])) {
        return;
    }
    frame.data = data = g_malloc(WQ_FRAME_MAX + 4);
    posted = vic_reg32(f, r.ctrl + QUEUE_POSTED_INDEX) & WQ_POSTED_INDEX_MASK;
    posted %= r.size;

    while (r.fetch != posted) {
        uint8_t desc[DESC_SIZE];
        uint32_t index = r.fetch;
        uint16_t flags;

        if (!ring_read(f, &r, index, desc)) {
            vic_set_reg32(f, r.ctrl + WQ_ERROR_STATUS, ERR_EFAULT);
            return;
        }
        flags = lduw_le_p(desc + WQ_DESC_FLAGS);
        tx_gather(f, desc, &frame);
        if (flags & WQ_ENET_EOP) {
            tx_finish(f, &r, desc, &frame);
        }
        ring_advance(f, &r);
        if (flags & WQ_ENET_CQ_ENTRY) {
            uint8_t entry[DESC_SIZE] = { 0 };

            stw_le_p(entry + CQ_DESC_COMPLETED_INDEX, index);
            stw_le_p(entry + CQ_DESC_Q_NUMBER, q);
            entry[CQ_DESC_TYPE_COLOR] = CQ_DESC_TYPE_WQ_ENET;
            cq_put(f, vic_reg32(f, r.ctrl + QUEUE_CQ_INDEX), entry);
        }
    }
}
