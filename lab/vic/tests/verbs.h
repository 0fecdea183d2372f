/*
 * The uverbs commands that usNIC knows, through write() on /dev/infiniband/uverbsN
 * (include/uapi/rdma/ib_user_verbs.h; the driver's own parts: usnic_abi.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VERBS_H
#define VERBS_H

#include <netinet/in.h>
#include <stdint.h>
#include <rdma/ib_user_verbs.h>

/* an RDMA device, opened, and the netdev it belongs to */
struct device {
	int fd;
	char name[64];
	char netdev[16];
	uint8_t mac[6];
	struct in_addr ip;
};

enum qp_state { QPS_RESET, QPS_INIT, QPS_RTR, QPS_RTS };

/* struct usnic_ib_create_qp_resp behind the common answer */
struct usnic_create_qp_resp {
	struct ib_uverbs_create_qp_resp common;
	uint32_t vfid, qp_grp_id;
	uint64_t bar_bus_addr;
	uint32_t bar_len, wq_cnt, rq_cnt, cq_cnt;
	uint32_t wq_idx[8], rq_idx[8], cq_idx[16];
	uint32_t transport, reserved[9];
} __attribute__((packed));

void device_open(struct device *dev, const char *name);
uint32_t device_alloc_pd(struct device *dev);
uint32_t device_create_cq(struct device *dev, uint32_t entries);
void device_reg_mr(struct device *dev, uint32_t pd, void *start, size_t length);
void device_modify_qp(struct device *dev, uint32_t qp, enum qp_state state);
/* a UDP queue pair on a bound socket's address and port; 0 or an errno */
int device_create_qp(struct device *dev, uint32_t pd, uint32_t send_cq, uint32_t recv_cq,
		     int udp_socket, struct usnic_create_qp_resp *resp);

/* ends the program, which has proven nothing */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
