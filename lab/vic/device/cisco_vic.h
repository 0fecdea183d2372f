/*
 * State of the virtual Cisco VIC and the calls between its parts:
 *
 *   cisco_vic.c    PCI and SR-IOV, properties, fault knobs, the network backend
 *   vic_function.c one PCI function's BAR: resource table, registers, interrupts
 *   vic_queues.c   work, receive and completion queues
 *   vic_filters.c  which queue pair or the PF a frame is for
 *   vic_devcmd.c   device commands, the notify area
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CISCO_VIC_H
#define CISCO_VIC_H

#include "qemu/osdep.h"
#include "hw/pci/pci_device.h"
#include "net/net.h"
#include "qom/object.h"
#include "vnic_regs.h"

#define TYPE_CISCO_VIC "cisco-vic"
OBJECT_DECLARE_SIMPLE_TYPE(VicState, CISCO_VIC)
#define TYPE_CISCO_VIC_VF "cisco-vic-usnic-vf"
OBJECT_DECLARE_SIMPLE_TYPE(VicVfState, CISCO_VIC_VF)

/* A PCI function, PF or VF: a BAR and the queues in it. */
typedef struct VicFunction {
    PCIDevice *pdev;
    VicState *vic;
    MemoryRegion bar;
    uint8_t regs[BAR_SIZE];         /* little-endian, as the guest sees them */
    unsigned wq_count, rq_count, cq_count, intr_count;
    bool is_pf;
    bool qp_enabled[QUEUES_MAX];    /* VF only: CMD_QP_ENABLE */
} VicFunction;

/* A classifier entry: UDP or TCP to an address and port, to a VF's queue. */
typedef struct VicFilter {
    bool used;
    uint16_t vf;
    uint32_t rq;
    uint32_t fields;                /* FILTER_FIELD_5TUP_*: which below count */
    uint32_t protocol;              /* PROTO_* */
    uint32_t src_addr, dst_addr;
    uint16_t src_port, dst_port;
} VicFilter;

enum { VIC_FILTERS = 1024, VIC_ADDRESSES = 64 };

typedef struct VicNotify {
    uint64_t address;               /* 0: none */
    uint32_t words;
    uint16_t intr;                  /* VIC_NO_INTR: none */
    uint32_t link_down_count;
} VicNotify;

enum { VIC_NO_INTR = 0xffff };

/* The next command of that number (0: of any) answers with the error. */
typedef struct VicFault {
    uint32_t command;
    uint32_t error;                 /* 0: not armed */
} VicFault;

struct VicState {
    PCIDevice parent_obj;
    VicFunction pf;
    NICState *nic;
    NICConf conf;

    /* properties */
    char *fw_version;
    uint16_t num_vfs, subsystem_id;
    uint32_t vf_wq, vf_rq, vf_cq, vf_intr;
    uint32_t mtu, speed;

    /* what the driver has set */
    bool enabled;
    uint32_t packet_filter;         /* CMD_PFILTER_* */
    uint8_t addresses[VIC_ADDRESSES][6];
    unsigned address_count;
    VicNotify notify;
    VicFilter filters[VIC_FILTERS];
    uint64_t stats[STATS_COUNT];

    /* run-time knobs */
    bool link_up, trace;
    VicFault fault;
};

struct VicVfState {
    PCIDevice parent_obj;
    VicFunction fn;
};

#define VIC_TRACE(vic, ...)                     \
    do {                                        \
        if ((vic)->trace) {                     \
            fprintf(stderr, "vic: " __VA_ARGS__); \
        }                                       \
    } while (0)

/* ---- cisco_vic.c ---- */

/* VF i, or NULL while the guest has not enabled it */
VicFunction *vic_vf(VicState *vic, unsigned i);
bool vic_link_is_up(VicState *vic);
/* a frame that a queue of this VIC sends; buf has 4 spare bytes behind it */
void vic_transmit(VicState *vic, uint8_t *frame, size_t len);

/* ---- vic_function.c ---- */

extern const MemoryRegionOps vic_bar_ops;
void vic_function_reset(VicFunction *f);
void vic_interrupt(VicFunction *f, unsigned i);
uint32_t vic_reg32(VicFunction *f, unsigned offset);
uint64_t vic_reg64(VicFunction *f, unsigned offset);
void vic_set_reg32(VicFunction *f, unsigned offset, uint32_t value);

/* ---- vic_queues.c ---- */

/* sends what lies between fetch and posted index */
void vic_wq_run(VicFunction *f, unsigned q);
/* false: the queue does not run or has no buffer left */
bool vic_rq_deliver(VicFunction *f, unsigned q, const uint8_t *frame, size_t len);

/* ---- vic_filters.c ---- */

int vic_filter_add(VicState *vic, unsigned vf, uint64_t address, uint32_t len,
                   uint64_t *id);
int vic_filter_delete(VicState *vic, unsigned vf, uint64_t id);
unsigned vic_filters_used(VicState *vic);
/* the filter a frame hits, or NULL */
VicFilter *vic_classify(VicState *vic, const uint8_t *frame, size_t len);
bool vic_pf_accepts(VicState *vic, const uint8_t *frame);
void vic_address_add(VicState *vic, const uint8_t *mac);
void vic_address_delete(VicState *vic, const uint8_t *mac);

/* ---- vic_devcmd.c ---- */

/* the guest wrote the PF's command register; a VF has none */
void vic_devcmd_run(VicState *vic);
void vic_notify(VicState *vic);
/* back to before CMD_OPEN */
void vic_close(VicState *vic);

#endif
