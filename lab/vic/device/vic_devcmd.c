/*
 * Device commands and the notify area.
 *
 * The driver writes up to 15 arguments and then the command register; this
 * model answers at once, so STAT_BUSY is never seen. usnic_verbs sends the
 * commands for a VF through the PF, wrapped in CMD_PROXY_BY_INDEX.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "hw/pci/pcie_sriov.h"
#include "cisco_vic.h"

/* a command's target and its arguments, in and out */
typedef struct Command {
    VicState *vic;
    VicFunction *f;
    uint64_t args[VNIC_DEVCMD_NARGS];
} Command;

typedef int CommandRun(Command *c);

static int run(Command *c, uint32_t number);
static CommandRun *find_command(VicFunction *f, uint32_t number);

/* ---- notify area: enic/vnic_dev.c vnic_dev_notify_ready() ---- */

void vic_notify(VicState *vic)
{
    VicNotify *notify = &vic->notify;
    uint32_t words[NOTIFY_WORDS] = { 0 };
    bool up = vic_link_is_up(vic);

    if (!notify->address || !notify->words) {
        return;
    }
    words[NOTIFY_LINK_STATE] = up;
    words[NOTIFY_PORT_SPEED] = up ? vic->speed : 0;
    words[NOTIFY_MTU] = vic->mtu;
    words[NOTIFY_LINK_DOWN_CNT] = notify->link_down_count;
    for (unsigned i = 1; i < notify->words; i++) {
        words[NOTIFY_CSUM] += words[i];
    }
    for (unsigned i = 0; i < notify->words; i++) {
        words[i] = cpu_to_le32(words[i]);
    }
    pci_dma_write(PCI_DEVICE(vic), notify->address, words, notify->words * 4);
    if (notify->intr != VIC_NO_INTR) {
        vic_interrupt(&vic->pf, notify->intr);
    }
}

static int cmd_notify(Command *c)
{
    VicNotify *notify = &c->vic->notify;

    notify->address = c->args[0];
    notify->words = MIN((uint32_t)c->args[1] / 4, NOTIFY_WORDS);
    notify->intr = notify->address ? c->args[1] >> 32 : VIC_NO_INTR;
    c->args[1] = notify->words * 4;
    vic_notify(c->vic);
    return ERR_SUCCESS;
}

/* ---- what the device is and has counted ---- */

static int cmd_fw_info(Command *c)
{
    uint8_t info[FW_INFO_SIZE] = { 0 };
    uint16_t size = c->args[1];

    pstrcpy((char *)info + FW_INFO_VERSION, FW_INFO_STRING, c->vic->fw_version);
    pstrcpy((char *)info + FW_INFO_BUILD, FW_INFO_STRING, "virtual");
    pstrcpy((char *)info + FW_INFO_HW_VERSION, FW_INFO_STRING, "A2");
    pstrcpy((char *)info + FW_INFO_SERIAL, FW_INFO_STRING, "VIRTUALVIC0");
    stw_le_p(info + FW_INFO_ASIC_REV, VIC_REVISION);
    c->args[1] = size ? MIN(size, FW_INFO_SIZE) : 0;
    size = size ? c->args[1] : FW_INFO_OLD_SIZE;
    return pci_dma_write(PCI_DEVICE(c->vic), c->args[0], info, size) == MEMTX_OK
           ? ERR_SUCCESS : ERR_EFAULT;
}

/* one field of the configuration, at offset a0 of size a1 */
static int cmd_dev_spec(Command *c)
{
    uint8_t config[ENET_CONFIG_SIZE] = { 0 };
    uint8_t field[8] = { 0 };
    uint64_t offset = c->args[0], size = c->args[1];

    if (size > sizeof(field) || offset > sizeof(config) - size) {
        return ERR_EINVAL;
    }
    stl_le_p(config + ENET_CONFIG_WQ_DESC_COUNT, 256);
    stl_le_p(config + ENET_CONFIG_RQ_DESC_COUNT, 512);
    stw_le_p(config + ENET_CONFIG_MTU, c->vic->mtu);
    stl_le_p(config + ENET_CONFIG_INTR_TIMER_USEC, 125);
    stw_le_p(config + ENET_CONFIG_VF_RQ_COUNT, 1);
    memcpy(field, config + offset, size);
    c->args[0] = ldq_le_p(field);
    return ERR_SUCCESS;
}

static int cmd_get_mac(Command *c)
{
    uint8_t mac[8] = { 0 };

    memcpy(mac, c->vic->conf.macaddr.a, 6);
    c->args[0] = ldq_le_p(mac);
    return ERR_SUCCESS;
}

static int cmd_stats_dump(Command *c)
{
    uint8_t dump[STATS_COUNT * 8];

    for (unsigned i = 0; i < STATS_COUNT; i++) {
        stq_le_p(dump + i * 8, c->vic->stats[i]);
    }
    return pci_dma_write(PCI_DEVICE(c->vic), c->args[0], dump,
                         MIN(c->args[1], sizeof(dump))) == MEMTX_OK
           ? ERR_SUCCESS : ERR_EFAULT;
}

static int cmd_stats_clear(Command *c)
{
    memset(c->vic->stats, 0, sizeof(c->vic->stats));
    return ERR_SUCCESS;
}

/* interrupt timer units of 1.5 µs: enic/vnic_dev.c, the driver's own default */
static int cmd_intr_coal_convert(Command *c)
{
    c->args[0] = 2;
    c->args[1] = 3;
    c->args[2] = 0xffff * 3 / 2;
    return ERR_SUCCESS;
}

/*
 * NIC_CFG is answered as unknown, as by firmware that does not tell its RSS
 * hash types: enic then takes its own defaults.
 */
static int cmd_capability(Command *c)
{
    uint32_t number = c->args[0] & CMD_NUMBER_MASK;

    if (!find_command(c->f, number) || number == CMD_NIC_CFG) {
        return ERR_ECMDUNKNOWN;
    }
    c->args[0] = c->args[1] = 0;
    return ERR_SUCCESS;
}

/* ---- open, enable, close ---- */

void vic_close(VicState *vic)
{
    vic->enabled = false;
    vic->packet_filter = 0;
    vic->address_count = 0;
    memset(vic->filters, 0, sizeof(vic->filters));
}

static int cmd_close(Command *c)
{
    vic_close(c->vic);
    vic_notify(c->vic);
    return ERR_SUCCESS;
}

static int cmd_enable(Command *c)
{
    c->vic->enabled = true;
    vic_notify(c->vic);
    return ERR_SUCCESS;
}

static int cmd_disable(Command *c)
{
    c->vic->enabled = false;
    vic_notify(c->vic);
    return ERR_SUCCESS;
}

static int cmd_accepted(Command *c)
{
    return ERR_SUCCESS;
}

/* a status query: what was asked for is done */
static int cmd_done(Command *c)
{
    c->args[0] = c->args[1] = 0;
    return ERR_SUCCESS;
}

/* the previous rewrite mode, which the driver does not look at */
static int cmd_vlan_rewrite(Command *c)
{
    c->args[0] = 0;
    return ERR_SUCCESS;
}

/* ---- the PF's addresses ---- */

static int cmd_packet_filter(Command *c)
{
    c->vic->packet_filter = c->args[0];
    return ERR_SUCCESS;
}

static int cmd_addr_add(Command *c)
{
    uint8_t mac[8];

    stq_le_p(mac, c->args[0]);
    vic_address_add(c->vic, mac);
    return ERR_SUCCESS;
}

static int cmd_addr_del(Command *c)
{
    uint8_t mac[8];

    stq_le_p(mac, c->args[0]);
    vic_address_delete(c->vic, mac);
    return ERR_SUCCESS;
}

/* ---- a VF's filters and queue pairs ---- */

static int cmd_add_filter(Command *c)
{
    return vic_filter_add(c->vic, pcie_sriov_vf_number(c->f->pdev), c->args[0],
                          c->args[1], &c->args[0]);
}

static int cmd_del_filter(Command *c)
{
    return vic_filter_delete(c->vic, pcie_sriov_vf_number(c->f->pdev), c->args[0]);
}

static int set_queue_pair(Command *c, bool on)
{
    uint64_t q = c->args[0];

    if (q >= c->f->rq_count) {
        return ERR_EINVAL;
    }
    c->f->qp_enabled[q] = on;
    VIC_TRACE(c->vic, "queue pair %u %s\n", (unsigned)q, on ? "on" : "off");
    if (on) {
        vic_wq_run(c->f, q);
    }
    return ERR_SUCCESS;
}

static int cmd_qp_enable(Command *c)
{
    return set_queue_pair(c, true);
}

static int cmd_qp_disable(Command *c)
{
    return set_queue_pair(c, false);
}

/* ---- commands by proxy: enic/vnic_dev.c vnic_dev_cmd_proxy() ---- */

/* in: a0 VF, a1 command, a2… its arguments; out: a0 status, a1… its answers */
static int cmd_proxy_by_index(Command *c)
{
    Command inner = { .vic = c->vic, .f = vic_vf(c->vic, c->args[0] & 0xffff) };
    int error;

    if (!inner.f) {
        return ERR_EINVAL;
    }
    memcpy(inner.args, c->args + 2, sizeof(c->args) - 2 * sizeof(c->args[0]));
    error = run(&inner, c->args[1] & CMD_NUMBER_MASK);
    c->args[0] = error ? STAT_ERROR : STAT_NONE;
    memcpy(c->args + 1, inner.args, sizeof(c->args) - sizeof(c->args[0]));
    if (error) {
        c->args[1] = error;
    }
    return ERR_SUCCESS;
}

/* ---- running a command ---- */

static CommandRun *const pf_commands[CMD_MAX] = {
    [CMD_MCPU_FW_INFO]         = cmd_fw_info,
    [CMD_DEV_SPEC]             = cmd_dev_spec,
    [CMD_STATS_CLEAR]          = cmd_stats_clear,
    [CMD_STATS_DUMP]           = cmd_stats_dump,
    [CMD_PACKET_FILTER]        = cmd_packet_filter,
    [CMD_HANG_NOTIFY]          = cmd_accepted,
    [CMD_GET_MAC_ADDR]         = cmd_get_mac,
    [CMD_ADDR_ADD]             = cmd_addr_add,
    [CMD_ADDR_DEL]             = cmd_addr_del,
    [CMD_VLAN_ADD]             = cmd_accepted,
    [CMD_VLAN_DEL]             = cmd_accepted,
    [CMD_NIC_CFG]              = cmd_accepted,
    [CMD_RSS_KEY]              = cmd_accepted,
    [CMD_RSS_CPU]              = cmd_accepted,
    [CMD_SOFT_RESET]           = cmd_close,
    [CMD_SOFT_RESET_STATUS]    = cmd_done,
    [CMD_NOTIFY]               = cmd_notify,
    [CMD_OPEN]                 = cmd_accepted,
    [CMD_OPEN_STATUS]          = cmd_done,
    [CMD_CLOSE]                = cmd_close,
    [CMD_ENABLE]               = cmd_enable,
    [CMD_DISABLE]              = cmd_disable,
    [CMD_INIT_STATUS]          = cmd_done,
    [CMD_DEINIT]               = cmd_accepted,
    [CMD_INIT]                 = cmd_accepted,
    [CMD_CAPABILITY]           = cmd_capability,
    [CMD_IAR]                  = cmd_accepted,
    [CMD_HANG_RESET]           = cmd_close,
    [CMD_HANG_RESET_STATUS]    = cmd_done,
    [CMD_IG_VLAN_REWRITE_MODE] = cmd_vlan_rewrite,
    [CMD_PROXY_BY_INDEX]       = cmd_proxy_by_index,
    [CMD_STATUS]               = cmd_done,
    [CMD_INTR_COAL_CONVERT]    = cmd_intr_coal_convert,
};

/* by proxy only; enic asks for filters of its own (aRFS) only if num_arfs says so */
static CommandRun *const vf_commands[CMD_MAX] = {
    [CMD_CAPABILITY] = cmd_capability,
    [CMD_ADD_FILTER] = cmd_add_filter,
    [CMD_DEL_FILTER] = cmd_del_filter,
    [CMD_QP_ENABLE]  = cmd_qp_enable,
    [CMD_QP_DISABLE] = cmd_qp_disable,
};

static CommandRun *find_command(VicFunction *f, uint32_t number)
{
    if (number >= CMD_MAX) {
        return NULL;
    }
    return f->is_pf ? pf_commands[number] : vf_commands[number];
}

/* the armed fault, if it is for this command; it fires once */
static int take_fault(VicState *vic, uint32_t number)
{
    VicFault fault = vic->fault;

    if (!fault.error || (fault.command && fault.command != number)) {
        return ERR_SUCCESS;
    }
    vic->fault.error = 0;
    return fault.error;
}

static int run(Command *c, uint32_t number)
{
    CommandRun *fn = find_command(c->f, number);
    int error = take_fault(c->vic, number);

    if (!error) {
        error = fn ? fn(c) : ERR_ECMDUNKNOWN;
    }
    VIC_TRACE(c->vic, "devcmd %u %s error %d\n", number,
              c->f->is_pf ? "pf" : "vf", error);
    return error;
}

void vic_devcmd_run(VicState *vic)
{
    VicFunction *f = &vic->pf;
    Command c = { .vic = vic, .f = f };
    uint32_t number = vic_reg32(f, BAR_DEVCMD + DEVCMD_CMD) & CMD_NUMBER_MASK;
    uint8_t *args = f->regs + BAR_DEVCMD + DEVCMD_ARGS;
    int error;

    for (unsigned i = 0; i < VNIC_DEVCMD_NARGS; i++) {
        c.args[i] = ldq_le_p(args + i * 8);
    }
    error = run(&c, number);
    if (error) {
        c.args[0] = error;
    }
    for (unsigned i = 0; i < VNIC_DEVCMD_NARGS; i++) {
        stq_le_p(args + i * 8, c.args[i]);
    }
    vic_set_reg32(f, BAR_DEVCMD + DEVCMD_STATUS, error ? STAT_ERROR : STAT_NONE);
}
