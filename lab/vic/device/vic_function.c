/*
 * One PCI function of the VIC: the BAR with its resource table and registers,
 * and the interrupts.
 *
 * Most registers are plain storage. The few writes that do something are in
 * bar_write().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/pci/msix.h"
#include "cisco_vic.h"

uint32_t vic_reg32(VicFunction *f, unsigned offset)
{
    return ldl_le_p(f->regs + offset);
}

uint64_t vic_reg64(VicFunction *f, unsigned offset)
{
    return ldq_le_p(f->regs + offset);
}

void vic_set_reg32(VicFunction *f, unsigned offset, uint32_t value)
{
    stl_le_p(f->regs + offset, value);
}

/* ---- resource table: enic/vnic_dev.c vnic_dev_discover_res() ---- */

static void write_resource_table(VicFunction *f)
{
    const struct {
        uint8_t type;
        uint32_t offset, count;
    } resources[] = {
        { RES_TYPE_WQ,        BAR_WQ,     f->wq_count },
        { RES_TYPE_RQ,        BAR_RQ,     f->rq_count },
        { RES_TYPE_CQ,        BAR_CQ,     f->cq_count },
        { RES_TYPE_INTR_CTRL, BAR_INTR,   f->intr_count },
        { RES_TYPE_DEVCMD,    BAR_DEVCMD, f->is_pf ? DEVCMD_SIZE : 0 },
    };
    unsigned entry = BAR_TABLE + 8;

    vic_set_reg32(f, BAR_TABLE, VNIC_RES_MAGIC);
    vic_set_reg32(f, BAR_TABLE + 4, VNIC_RES_VERSION);
    for (unsigned i = 0; i < ARRAY_SIZE(resources); i++) {
        if (resources[i].count) {
            f->regs[entry] = resources[i].type;
            vic_set_reg32(f, entry + 4, resources[i].offset);
            vic_set_reg32(f, entry + 8, resources[i].count);
            entry += VNIC_RES_ENTRY;
        }
    }
    f->regs[entry] = RES_TYPE_EOL;
}

void vic_function_reset(VicFunction *f)
{
    memset(f->regs, 0, sizeof(f->regs));
    memset(f->qp_enabled, 0, sizeof(f->qp_enabled));
    write_resource_table(f);
    for (unsigned i = 0; i < f->intr_count; i++) {
        vic_set_reg32(f, BAR_INTR + i * VNIC_RES_STRIDE + INTR_MASK, 1);
    }
}

/* ---- interrupts: enic/vnic_intr.h ---- */

/*
 * An interrupt with credits and no mask goes out. The driver returns the
 * credits it has served and unmasks in one write.
 */
static void deliver_interrupt(VicFunction *f, unsigned i)
{
    unsigned ctrl = BAR_INTR + i * VNIC_RES_STRIDE;

    if (!vic_reg32(f, ctrl + INTR_CREDITS) || vic_reg32(f, ctrl + INTR_MASK)) {
        return;
    }
    if (vic_reg32(f, ctrl + INTR_MASK_ON_ASSERTION)) {
        vic_set_reg32(f, ctrl + INTR_MASK, 1);
    }
    if (msix_enabled(f->pdev)) {
        msix_notify(f->pdev, i);
    }
}

void vic_interrupt(VicFunction *f, unsigned i)
{
    unsigned ctrl = BAR_INTR + i * VNIC_RES_STRIDE;
    uint32_t credits;

    if (i >= f->intr_count) {
        return;
    }
    credits = vic_reg32(f, ctrl + INTR_CREDITS);
    vic_set_reg32(f, ctrl + INTR_CREDITS, MIN(credits + 1, INTR_RETURN_CREDITS));
    deliver_interrupt(f, i);
}

static void return_credits(VicFunction *f, unsigned ctrl, uint32_t value)
{
    uint32_t credits = vic_reg32(f, ctrl + INTR_CREDITS);

    credits -= MIN(credits, value & INTR_RETURN_CREDITS);
    vic_set_reg32(f, ctrl + INTR_CREDITS, credits);
    if (value & INTR_RETURN_UNMASK) {
        vic_set_reg32(f, ctrl + INTR_MASK, 0);
    }
}

/* ---- register access ---- */

static uint64_t bar_read(void *opaque, hwaddr offset, unsigned size)
{
    VicFunction *f = opaque;

    return ldn_le_p(f->regs + offset, size);
}

static void devcmd_write(VicFunction *f, unsigned offset, uint64_t value,
                         unsigned size)
{
    unsigned reg = offset & BAR_REGION_MASK;

    /* a VF's BAR is user space's; the status is read-only */
    if (!f->is_pf || reg < DEVCMD_CMD || reg >= DEVCMD_SIZE) {
        return;
    }
    stn_le_p(f->regs + offset, size, value);
    if (reg == DEVCMD_CMD) {
        vic_devcmd_run(f->vic);
    }
}

static void intr_write(VicFunction *f, unsigned offset, uint64_t value,
                       unsigned size)
{
    unsigned i = (offset & BAR_REGION_MASK) / VNIC_RES_STRIDE;
    unsigned reg = offset % VNIC_RES_STRIDE;

    if (i >= f->intr_count) {
        return;
    }
    if (reg == INTR_CREDIT_RETURN) {
        return_credits(f, offset - reg, value);
    } else {
        stn_le_p(f->regs + offset, size, value);
    }
    if (reg == INTR_CREDIT_RETURN || reg == INTR_MASK) {
        deliver_interrupt(f, i);
    }
}

/* a work or receive queue: both have the same first registers */
static void queue_write(VicFunction *f, unsigned offset, uint64_t value,
                        unsigned size)
{
    unsigned region = offset & ~BAR_REGION_MASK;
    unsigned q = (offset & BAR_REGION_MASK) / VNIC_RES_STRIDE;
    unsigned reg = offset % VNIC_RES_STRIDE;

    if (reg == QUEUE_RUNNING) {
        return;
    }
    stn_le_p(f->regs + offset, size, value);
    if (reg == QUEUE_ENABLE) {
        vic_set_reg32(f, offset - reg + QUEUE_RUNNING, value & 1);
    }
    if (region == BAR_WQ && (reg == QUEUE_POSTED_INDEX || reg == QUEUE_ENABLE)) {
        vic_wq_run(f, q);
    }
}

static void bar_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VicFunction *f = opaque;

    switch (offset & ~(hwaddr)BAR_REGION_MASK) {
    case BAR_DEVCMD:
        devcmd_write(f, offset, value, size);
        break;
    case BAR_INTR:
        intr_write(f, offset, value, size);
        break;
    case BAR_WQ:
    case BAR_RQ:
        queue_write(f, offset, value, size);
        break;
    case BAR_CQ:
        stn_le_p(f->regs + offset, size, value);
        break;
    default:
        break;                              /* the resource table is read-only */
    }
}

/* accesses are aligned, so none crosses the BAR's end */
const MemoryRegionOps vic_bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 1, .max_access_size = 8 },
};
