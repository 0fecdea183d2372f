/*
 * A usNIC queue pair as user space drives it: rings in registered memory,
 * registers in the VF's mapped BAR (the names are in ../device/vnic_regs.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QUEUE_PAIR_H
#define QUEUE_PAIR_H

#include "verbs.h"
#include <stdbool.h>

struct queue_pair {
	struct device *dev;
	uint32_t pd, handle;
	struct usnic_create_qp_resp resp;
	int socket;
	uint16_t port;
	volatile uint8_t *bar, *wq, *rq;
	uint8_t *memory;
	unsigned sent, received;
};

/* what a receive completion said, and where the frame lies */
struct received {
	unsigned bytes;
	uint8_t type, flags;
	const char *payload;
};

/* takes a VF's queues and maps its BAR; 0 or an errno */
int qp_create(struct queue_pair *qp, struct device *dev);
/* registers memory, sets up the rings, goes to RTS and posts receive buffers */
void qp_start(struct queue_pair *qp);
/* a UDP datagram; returns when the VIC has sent it */
void qp_send(struct queue_pair *qp, const uint8_t *to_mac, struct in_addr to, uint16_t port,
	     const char *payload);
/* false: nothing came for so many milliseconds */
bool qp_receive(struct queue_pair *qp, unsigned ms, struct received *received);

/* the next receive buffer, wherever that may be */
void qp_post_receive(struct queue_pair *qp, unsigned index, const void *buffer);
uint32_t qp_rq_error(struct queue_pair *qp);

#endif
