/*
 * A virtual Cisco VIC: an Ethernet PF (1137:0043) with SR-IOV usNIC VFs
 * (1137:00cf), so that the stock Linux drivers enic and usnic_verbs bind and
 * user space sends and receives through /dev/infiniband/uverbs*.
 *
 * This file: PCI and SR-IOV, properties and fault knobs, the network backend.
 * The other parts are listed in cisco_vic.h, the registers in vnic_regs.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_sriov.h"
#include "hw/qdev-properties.h"
#include "net/eth.h"
#include "net/net.h"
#include "cisco_vic.h"

/* PF: the fewest that enic takes, INTR = WQ + RQ + 2 (enic/enic_res.c) */
enum { PF_WQ = 1, PF_RQ = 1, PF_CQ = PF_WQ + PF_RQ, PF_INTR = PF_WQ + PF_RQ + 2 };

/* config space: Linux walks the extended capabilities from 0x100 */
enum { CAP_PCIE = 0xa0, CAP_ARI = 0x100, CAP_SRIOV = 0x160 };

enum { MSIX_BAR = 2 };

VicFunction *vic_vf(VicState *vic, unsigned i)
{
    PCIDevice *vf = pcie_sriov_get_vf_at_index(PCI_DEVICE(vic), i);

    return vf ? &CISCO_VIC_VF(vf)->fn : NULL;
}

/* ---- network backend ---- */

bool vic_link_is_up(VicState *vic)
{
    return vic->enabled && !qemu_get_queue(vic->nic)->link_down;
}

/* true: a queue pair's, even if that has no buffer for it */
static bool steer_to_vf(VicState *vic, const uint8_t *frame, size_t len)
{
    VicFilter *filter = vic_classify(vic, frame, len);
    VicFunction *f;
    bool taken = false;

    if (!filter) {
        return false;
    }
    f = vic_vf(vic, filter->vf);
    if (f && filter->rq < f->rq_count && f->qp_enabled[filter->rq]) {
        taken = vic_rq_deliver(f, filter->rq, frame, len);
    }
    VIC_TRACE(vic, "%zu bytes to vf %u rq %u: %s\n", len, filter->vf, filter->rq,
              taken ? "taken" : "dropped");
    return true;
}

static void deliver_to_pf(VicState *vic, const uint8_t *frame, size_t len)
{
    if (!vic_pf_accepts(vic, frame)) {
        return;
    }
    vic->stats[STATS_RX_FRAMES_TOTAL]++;
    if (vic_rq_deliver(&vic->pf, 0, frame, len)) {
        vic->stats[STATS_RX_FRAMES_OK]++;
        vic->stats[STATS_RX_BYTES_OK] += len;
    } else {
        vic->stats[STATS_RX_NO_BUFS]++;
    }
}

static ssize_t vic_receive(NetClientState *nc, const uint8_t *frame, size_t len)
{
    VicState *vic = qemu_get_nic_opaque(nc);
    uint8_t padded[ETH_ZLEN] = { 0 };
    size_t wire_len = len;

    if (!vic->enabled) {
        return len;
    }
    if (len < sizeof(padded)) {
        memcpy(padded, frame, len);
        frame = padded;
        wire_len = sizeof(padded);
    }
    if (!steer_to_vf(vic, frame, wire_len)) {
        deliver_to_pf(vic, frame, wire_len);
    }
    return len;
}

/* The VIC switches between its own functions; all else goes out. */
void vic_transmit(VicState *vic, uint8_t *frame, size_t len)
{
    if (!vic_link_is_up(vic) || len < ETH_HLEN) {
        return;
    }
    vic->stats[STATS_TX_FRAMES_OK]++;
    vic->stats[STATS_TX_BYTES_OK] += len;
    if (steer_to_vf(vic, frame, len)) {
        return;
    }
    if (!memcmp(frame, vic->conf.macaddr.a, ETH_ALEN)) {
        deliver_to_pf(vic, frame, len);
        return;
    }
    qemu_send_packet(qemu_get_queue(vic->nic), frame, len);
}

static void link_changed(NetClientState *nc)
{
    VicState *vic = qemu_get_nic_opaque(nc);

    vic->notify.link_down_count += nc->link_down;
    vic_notify(vic);
}

static NetClientInfo vic_net_info = {
    .type = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NICState),
    .receive = vic_receive,
    .link_status_changed = link_changed,
};

/* ---- knobs, set while the guest runs (QMP qom-set); see ../README.md ---- */

static bool get_link_up(Object *obj, Error **errp)
{
    VicState *vic = CISCO_VIC(obj);

    return vic->nic ? !qemu_get_queue(vic->nic)->link_down : vic->link_up;
}

static void set_link_up(Object *obj, bool up, Error **errp)
{
    VicState *vic = CISCO_VIC(obj);
    NetClientState *nc;

    vic->link_up = up;
    if (!vic->nic) {
        return;                             /* realize applies it */
    }
    nc = qemu_get_queue(vic->nic);
    if (nc->link_down == up) {
        nc->link_down = !up;
        link_changed(nc);
    }
}

static bool get_trace(Object *obj, Error **errp)
{
    return CISCO_VIC(obj)->trace;
}

static void set_trace(Object *obj, bool on, Error **errp)
{
    CISCO_VIC(obj)->trace = on;
}

static void set_reset_vf(Object *obj, Visitor *v, const char *name, void *opaque,
                         Error **errp)
{
    VicFunction *f;
    uint32_t i;

    if (!visit_type_uint32(v, name, &i, errp)) {
        return;
    }
    f = vic_vf(CISCO_VIC(obj), i);
    if (!f) {
        error_setg(errp, "VF %u is not enabled", i);
        return;
    }
    vic_function_reset(f);
}

static void get_filters(Object *obj, Visitor *v, const char *name, void *opaque,
                        Error **errp)
{
    uint32_t used = vic_filters_used(CISCO_VIC(obj));

    visit_type_uint32(v, name, &used, errp);
}

static void add_knobs(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "link-up", get_link_up, set_link_up);
    object_class_property_add_bool(oc, "trace", get_trace, set_trace);
    object_class_property_add(oc, "reset-vf", "uint32", NULL, set_reset_vf, NULL,
                              NULL);
    object_class_property_add(oc, "filters-used", "uint32", get_filters, NULL, NULL,
                              NULL);
}

/* ---- VF ---- */

static void add_bar(VicFunction *f, const char *name)
{
    memory_region_init_io(&f->bar, OBJECT(f->pdev), &vic_bar_ops, f, name, BAR_SIZE);
    pci_register_bar(f->pdev, 0,
                     PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
                     &f->bar);
}

static void vf_realize(PCIDevice *pdev, Error **errp)
{
    VicFunction *f = &CISCO_VIC_VF(pdev)->fn;
    VicState *vic = CISCO_VIC(pcie_sriov_get_pf(pdev));

    f->pdev = pdev;
    f->vic = vic;
    f->wq_count = vic->vf_wq;
    f->rq_count = vic->vf_rq;
    f->cq_count = vic->vf_cq;
    f->intr_count = vic->vf_intr;
    vic_function_reset(f);

    pci_set_word(pdev->config + PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_CISCO);
    pci_set_word(pdev->config + PCI_SUBSYSTEM_ID, vic->subsystem_id);
    add_bar(f, "cisco-vic-vf");
    pcie_endpoint_cap_init(pdev, CAP_PCIE);
    pcie_cap_flr_init(pdev);
    pcie_ari_init(pdev, CAP_ARI);
}

static void vf_exit(PCIDevice *pdev)
{
    pcie_cap_exit(pdev);
}

static void vf_reset(DeviceState *dev)
{
    vic_function_reset(&CISCO_VIC_VF(dev)->fn);
}

static void vf_config_write(PCIDevice *pdev, uint32_t address, uint32_t value, int len)
{
    pci_default_write_config(pdev, address, value, len);
    pcie_cap_flr_write_config(pdev, address, value, len);
}

static void vf_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    pc->realize = vf_realize;
    pc->exit = vf_exit;
    pc->config_write = vf_config_write;
    pc->vendor_id = PCI_VENDOR_CISCO;
    pc->device_id = PCI_DEVICE_VIC_USPACE_NIC;
    pc->revision = VIC_REVISION;
    pc->class_id = PCI_CLASS_NETWORK_ETHERNET;
    device_class_set_legacy_reset(dc, vf_reset);
    dc->user_creatable = false;
    dc->desc = "Cisco VIC usNIC virtual function";
}

/* ---- PF ---- */

static bool check_properties(VicState *vic, Error **errp)
{
    if (MAX(MAX(vic->vf_wq, vic->vf_rq), MAX(vic->vf_cq, vic->vf_intr)) > QUEUES_MAX) {
        error_setg(errp, "a VF has at most %d queues of a kind", QUEUES_MAX);
        return false;
    }
    return true;
}

/* usnic_verbs takes devfn - 1 for the VF's index: first VF at 1, stride 1 */
static bool add_vfs(VicState *vic, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(vic);

    if (!vic->num_vfs) {
        return true;
    }
    if (!pcie_sriov_pf_init(pdev, CAP_SRIOV, TYPE_CISCO_VIC_VF,
                            PCI_DEVICE_VIC_USPACE_NIC, vic->num_vfs, vic->num_vfs,
                            1, 1, errp)) {
        return false;
    }
    pcie_sriov_pf_init_vf_bar(pdev, 0,
                              PCI_BASE_ADDRESS_MEM_TYPE_64 |
                              PCI_BASE_ADDRESS_MEM_PREFETCH, BAR_SIZE);
    return true;
}

static void remove_msix(PCIDevice *pdev)
{
    msix_unuse_all_vectors(pdev);
    msix_uninit_exclusive_bar(pdev);
}

static void add_nic(VicState *vic)
{
    DeviceState *dev = DEVICE(vic);
    NetClientState *nc;

    qemu_macaddr_default_if_unset(&vic->conf.macaddr);
    vic->nic = qemu_new_nic(&vic_net_info, &vic->conf,
                            object_get_typename(OBJECT(vic)), dev->id,
                            &dev->mem_reentrancy_guard, vic);
    nc = qemu_get_queue(vic->nic);
    nc->link_down = !vic->link_up;
    qemu_format_nic_info_str(nc, vic->conf.macaddr.a);
}

static void pf_realize(PCIDevice *pdev, Error **errp)
{
    VicState *vic = CISCO_VIC(pdev);
    VicFunction *f = &vic->pf;

    if (!check_properties(vic, errp)) {
        return;
    }
    f->pdev = pdev;
    f->vic = vic;
    f->is_pf = true;
    f->wq_count = PF_WQ;
    f->rq_count = PF_RQ;
    f->cq_count = PF_CQ;
    f->intr_count = PF_INTR;
    vic->notify.intr = VIC_NO_INTR;
    vic_function_reset(f);

    pci_set_word(pdev->config + PCI_SUBSYSTEM_ID, vic->subsystem_id);
    add_bar(f, "cisco-vic");
    if (msix_init_exclusive_bar(pdev, PF_INTR, MSIX_BAR, errp)) {
        return;
    }
    for (unsigned i = 0; i < PF_INTR; i++) {
        msix_vector_use(pdev, i);
    }
    pcie_endpoint_cap_init(pdev, CAP_PCIE);
    pcie_ari_init(pdev, CAP_ARI);
    if (!add_vfs(vic, errp)) {
        pcie_cap_exit(pdev);
        remove_msix(pdev);
        return;
    }
    add_nic(vic);
}

static void pf_exit(PCIDevice *pdev)
{
    qemu_del_nic(CISCO_VIC(pdev)->nic);
    pcie_sriov_pf_exit(pdev);
    pcie_cap_exit(pdev);
    remove_msix(pdev);
}

static void pf_reset(DeviceState *dev)
{
    VicState *vic = CISCO_VIC(dev);

    pcie_sriov_pf_reset(PCI_DEVICE(dev));
    vic_function_reset(&vic->pf);
    vic_close(vic);
    vic->notify = (VicNotify) { .intr = VIC_NO_INTR };
}

static const Property pf_properties[] = {
    DEFINE_NIC_PROPERTIES(VicState, conf),
    DEFINE_PROP_STRING("fw-version", VicState, fw_version),
    DEFINE_PROP_UINT16("num-vfs", VicState, num_vfs, 4),
    DEFINE_PROP_UINT16("subsystem-id", VicState, subsystem_id, 0x012c),
    DEFINE_PROP_UINT32("vf-wq", VicState, vf_wq, 6),
    DEFINE_PROP_UINT32("vf-rq", VicState, vf_rq, 6),
    DEFINE_PROP_UINT32("vf-cq", VicState, vf_cq, 6),
    DEFINE_PROP_UINT32("vf-intr", VicState, vf_intr, 2),
    DEFINE_PROP_UINT32("vnic-mtu", VicState, mtu, 1500),
    DEFINE_PROP_UINT32("speed", VicState, speed, 10000),
};

static void pf_instance_init(Object *obj)
{
    VicState *vic = CISCO_VIC(obj);

    vic->fw_version = g_strdup("4.1(3b)");
    vic->link_up = true;
    object_property_add_uint32_ptr(obj, "fail-devcmd", &vic->fault.command,
                                   OBJ_PROP_FLAG_READWRITE);
    object_property_add_uint32_ptr(obj, "fail-devcmd-error", &vic->fault.error,
                                   OBJ_PROP_FLAG_READWRITE);
}

static void pf_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    pc->realize = pf_realize;
    pc->exit = pf_exit;
    pc->vendor_id = PCI_VENDOR_CISCO;
    pc->device_id = PCI_DEVICE_VIC_ENET;
    pc->subsystem_vendor_id = PCI_VENDOR_CISCO;
    pc->revision = VIC_REVISION;
    pc->class_id = PCI_CLASS_NETWORK_ETHERNET;
    device_class_set_legacy_reset(dc, pf_reset);
    device_class_set_props(dc, pf_properties);
    add_knobs(oc);
    dc->desc = "Cisco VIC Ethernet with usNIC VFs";
    set_bit(DEVICE_CATEGORY_NETWORK, dc->categories);
}

static const TypeInfo vic_types[] = {
    {
        .name = TYPE_CISCO_VIC,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(VicState),
        .instance_init = pf_instance_init,
        .class_init = pf_class_init,
        .interfaces = (InterfaceInfo[]) { { INTERFACE_PCIE_DEVICE }, { } },
    },
    {
        .name = TYPE_CISCO_VIC_VF,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(VicVfState),
        .class_init = vf_class_init,
        .interfaces = (InterfaceInfo[]) { { INTERFACE_PCIE_DEVICE }, { } },
    },
};

DEFINE_TYPES(vic_types)
