/*
 * Which receive queue a frame is for: the classifier's filters, which steer
 * flows to usNIC queue pairs, and the PF's own address filter.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "net/eth.h"
#include "cisco_vic.h"

/* ---- the classifier's table: enic/vnic_devcmd.h, usnic/usnic_fwd.c fill_tlv() ---- */

static bool parse_match(const uint8_t *v, uint32_t len, VicFilter *filter)
{
    if (len < FILTER_SIZE_IPV4 || ldl_le_p(v + FILTER_TYPE) != FILTER_IPV4_5TUPLE) {
        return false;
    }
    filter->fields = ldl_le_p(v + FILTER_IPV4_FLAGS);
    filter->protocol = ldl_le_p(v + FILTER_IPV4_PROTOCOL);
    filter->src_addr = ldl_le_p(v + FILTER_IPV4_SRC_ADDR);
    filter->dst_addr = ldl_le_p(v + FILTER_IPV4_DST_ADDR);
    filter->src_port = lduw_le_p(v + FILTER_IPV4_SRC_PORT);
    filter->dst_port = lduw_le_p(v + FILTER_IPV4_DST_PORT);
    return true;
}

/* a list of TLVs: one says what to match, one where it goes */
static bool parse_filter(const uint8_t *buf, uint32_t len, VicFilter *filter)
{
    bool have_match = false, have_action = false;

    for (uint32_t at = 0; at + CLSF_TLV_HEADER <= len;) {
        uint32_t type = ldl_le_p(buf + at);
        uint32_t value_len = ldl_le_p(buf + at + 4);
        const uint8_t *value = buf + at + CLSF_TLV_HEADER;

        if (value_len > len - at - CLSF_TLV_HEADER) {
            return false;
        }
        if (type == CLSF_TLV_FILTER) {
            have_match = parse_match(value, value_len, filter);
        } else if (type == CLSF_TLV_ACTION && value_len >= FILTER_ACTION_SIZE) {
            filter->rq = ldl_le_p(value + FILTER_ACTION_RQ);
            have_action = true;
        }
        at += CLSF_TLV_HEADER + value_len;
    }
    return have_match && have_action;
}

int vic_filter_add(VicState *vic, unsigned vf, uint64_t address, uint32_t len,
                   uint64_t *id)
{
    uint8_t buf[FILTER_MAX_BUF_SIZE];
    VicFilter filter = { .used = true, .vf = vf };

    if (len > sizeof(buf)) {
        return ERR_EINVAL;
    }
    /* the PF's memory: the VF's driver asks through the PF's */
    if (pci_dma_read(PCI_DEVICE(vic), address, buf, len) != MEMTX_OK) {
        return ERR_EFAULT;
    }
    if (!parse_filter(buf, len, &filter)) {
        return ERR_EINVAL;
    }
    for (unsigned i = 0; i < VIC_FILTERS; i++) {
        if (!vic->filters[i].used) {
            vic->filters[i] = filter;
            *id = i;
            VIC_TRACE(vic, "filter %u: vf %u rq %u fields %x to %08x:%u\n", i, vf,
                      filter.rq, filter.fields, filter.dst_addr, filter.dst_port);
            return ERR_SUCCESS;
        }
    }
    return ERR_EMAXRES;
}

int vic_filter_delete(VicState *vic, unsigned vf, uint64_t id)
{
    if (id >= VIC_FILTERS || !vic->filters[id].used || vic->filters[id].vf != vf) {
        return ERR_EINVAL;
    }
    vic->filters[id].used = false;
    return ERR_SUCCESS;
}

unsigned vic_filters_used(VicState *vic)
{
    unsigned used = 0;

    for (unsigned i = 0; i < VIC_FILTERS; i++) {
        used += vic->filters[i].used;
    }
    return used;
}

/* ---- matching ---- */

static bool is_own_address(VicState *vic, const uint8_t *mac)
{
    for (unsigned i = 0; i < vic->address_count; i++) {
        if (!memcmp(vic->addresses[i], mac, ETH_ALEN)) {
            return true;
        }
    }
    return false;
}

static bool matches(const VicFilter *filter, const uint8_t *frame, size_t len)
{
    unsigned header_len = (frame[14] & 15) * 4;
    const uint8_t *l4 = frame + ETH_HLEN + header_len;
    uint8_t protocol = filter->protocol == PROTO_TCP ? IP_PROTO_TCP : IP_PROTO_UDP;
    uint32_t fields = filter->fields;

    if (len < ETH_HLEN + header_len + 8) {
        return false;
    }
    return frame[23] == protocol &&
           (!(fields & FILTER_FIELD_5TUP_SRC_AD) ||
            ldl_be_p(frame + 26) == filter->src_addr) &&
           (!(fields & FILTER_FIELD_5TUP_DST_AD) ||
            ldl_be_p(frame + 30) == filter->dst_addr) &&
           (!(fields & FILTER_FIELD_5TUP_SRC_PT) ||
            lduw_be_p(l4) == filter->src_port) &&
           (!(fields & FILTER_FIELD_5TUP_DST_PT) ||
            lduw_be_p(l4 + 2) == filter->dst_port);
}

VicFilter *vic_classify(VicState *vic, const uint8_t *frame, size_t len)
{
    if (len < ETH_HLEN + 20 || lduw_be_p(frame + 12) != ETH_P_IP ||
        !is_own_address(vic, frame)) {
        return NULL;
    }
    for (unsigned i = 0; i < VIC_FILTERS; i++) {
        if (vic->filters[i].used && matches(&vic->filters[i], frame, len)) {
            return &vic->filters[i];
        }
    }
    return NULL;
}

/* ---- the PF's addresses: enic/enic_main.c enic_set_rx_mode() ---- */

bool vic_pf_accepts(VicState *vic, const uint8_t *frame)
{
    uint32_t accept = vic->packet_filter;

    if (accept & CMD_PFILTER_PROMISCUOUS) {
        return true;
    }
    if (is_broadcast_ether_addr(frame)) {
        return accept & CMD_PFILTER_BROADCAST;
    }
    if (is_multicast_ether_addr(frame)) {
        return accept & CMD_PFILTER_ALL_MULTICAST ||
               (accept & CMD_PFILTER_MULTICAST && is_own_address(vic, frame));
    }
    return accept & CMD_PFILTER_DIRECTED && is_own_address(vic, frame);
}

void vic_address_add(VicState *vic, const uint8_t *mac)
{
    if (vic->address_count < VIC_ADDRESSES && !is_own_address(vic, mac)) {
        memcpy(vic->addresses[vic->address_count++], mac, ETH_ALEN);
    }
}

void vic_address_delete(VicState *vic, const uint8_t *mac)
{
    for (unsigned i = 0; i < vic->address_count; i++) {
        if (!memcmp(vic->addresses[i], mac, ETH_ALEN)) {
            vic->address_count--;
            memmove(vic->addresses[i], vic->addresses[vic->address_count], ETH_ALEN);
            return;
        }
    }
}
