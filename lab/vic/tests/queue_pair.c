/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "queue_pair.h"
#include "../device/vnic_regs.h"
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* the registered memory of a queue pair */
enum {
	RING_ENTRIES = 32,
	BUFFERS      = 16,
	BUFFER_SIZE  = 2048,
	MEM_WQ       = 0x0000,
	MEM_RQ       = 0x1000,
	MEM_SEND_CQ  = 0x2000,
	MEM_RECV_CQ  = 0x3000,
	MEM_SEND     = 0x4000,
	MEM_RECV     = 0x8000,
	MEM_SIZE     = MEM_RECV + BUFFERS * BUFFER_SIZE,
	HEADERS      = 14 + 20 + 8,
	SEND_MS      = 5000,
};

static uint32_t get32(volatile uint8_t *p)
{
	return *(volatile uint32_t *)p;
}

static void set32(volatile uint8_t *p, uint32_t value)
{
	*(volatile uint32_t *)p = value;
}

static void set64(volatile uint8_t *p, uint64_t value)
{
	*(volatile uint64_t *)p = value;
}

/* where the BAR's resource table says that queue `index` of this type is */
static volatile uint8_t *resource(struct queue_pair *qp, uint8_t type, uint32_t index)
{
	volatile uint8_t *entry = qp->bar + 8;

	for (; *entry != RES_TYPE_EOL; entry += VNIC_RES_ENTRY) {
		if (*entry == type)
			return qp->bar + get32(entry + 4) + index * VNIC_RES_STRIDE;
	}
	die("VF %u's resource table has no type %u", qp->resp.vfid, type);
}

static void bind_socket(struct queue_pair *qp)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = qp->dev->ip };
	socklen_t length = sizeof(address);

	qp->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(qp->socket, (struct sockaddr *)&address, length) ||
	    getsockname(qp->socket, (struct sockaddr *)&address, &length))
		die("cannot bind a socket on %s: %s", qp->dev->netdev, strerror(errno));
	qp->port = ntohs(address.sin_port);
}

int qp_create(struct queue_pair *qp, struct device *dev)
{
	uint32_t send_cq, recv_cq;
	int error;

	*qp = (struct queue_pair){ .dev = dev };
	bind_socket(qp);
	qp->pd = device_alloc_pd(dev);
	send_cq = device_create_cq(dev, RING_ENTRIES);
	recv_cq = device_create_cq(dev, RING_ENTRIES);
	error = device_create_qp(dev, qp->pd, send_cq, recv_cq, qp->socket, &qp->resp);
	if (error)
		return error;
	qp->handle = qp->resp.common.qp_handle;
	qp->bar = mmap(NULL, qp->resp.bar_len, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd,
		       (off_t)qp->resp.vfid * sysconf(_SC_PAGESIZE));
	if (qp->bar == MAP_FAILED)
		die("cannot map the BAR of VF %u: %s", qp->resp.vfid, strerror(errno));
	if (get32(qp->bar) != VNIC_RES_MAGIC)
		die("VF %u's BAR starts with %08x", qp->resp.vfid, get32(qp->bar));
	qp->wq = resource(qp, RES_TYPE_WQ, qp->resp.wq_idx[0]);
	qp->rq = resource(qp, RES_TYPE_RQ, qp->resp.rq_idx[0]);
	return 0;
}

static uint64_t bus_address(const void *p)
{
	return (uintptr_t)p;	/* usNIC maps user memory at its own address */
}

static void init_cq(struct queue_pair *qp, uint32_t index, uint8_t *ring)
{
	volatile uint8_t *cq = resource(qp, RES_TYPE_CQ, index);

	set64(cq + RING_BASE, bus_address(ring));
	set32(cq + RING_SIZE, RING_ENTRIES);
	set32(cq + CQ_TAIL, 0);
	set32(cq + CQ_TAIL_COLOR, 1);
	set32(cq + CQ_INTERRUPT_ENABLE, 0);
	set32(cq + CQ_ENTRY_ENABLE, 1);
	set32(cq + CQ_MESSAGE_ENABLE, 0);
}

static void init_queue(volatile uint8_t *queue, uint8_t *ring, uint32_t cq)
{
	set64(queue + RING_BASE, bus_address(ring));
	set32(queue + RING_SIZE, RING_ENTRIES);
	set32(queue + QUEUE_FETCH_INDEX, 0);
	set32(queue + QUEUE_POSTED_INDEX, 0);
	set32(queue + QUEUE_CQ_INDEX, cq);
}

void qp_post_receive(struct queue_pair *qp, unsigned index, const void *buffer)
{
	uint8_t *desc = qp->memory + MEM_RQ + index * DESC_SIZE;
	uint64_t address = bus_address(buffer);
	uint16_t length = BUFFER_SIZE;

	memcpy(desc + RQ_DESC_ADDRESS, &address, sizeof(address));
	memcpy(desc + RQ_DESC_LENGTH_TYPE, &length, sizeof(length));
	__sync_synchronize();
	set32(qp->rq + QUEUE_POSTED_INDEX, index + 1);
}

void qp_start(struct queue_pair *qp)
{
	uint8_t *memory = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("no memory");
	memset(memory, 0, MEM_SIZE);
	qp->memory = memory;
	device_reg_mr(qp->dev, qp->pd, memory, MEM_SIZE);
	init_cq(qp, qp->resp.cq_idx[0], memory + MEM_SEND_CQ);
	init_cq(qp, qp->resp.cq_idx[1], memory + MEM_RECV_CQ);
	init_queue(qp->wq, memory + MEM_WQ, qp->resp.cq_idx[0]);
	init_queue(qp->rq, memory + MEM_RQ, qp->resp.cq_idx[1]);
	for (enum qp_state state = QPS_INIT; state <= QPS_RTS; state++)
		device_modify_qp(qp->dev, qp->handle, state);
	set32(qp->rq + QUEUE_ENABLE, 1);
	set32(qp->wq + QUEUE_ENABLE, 1);
	for (unsigned i = 0; i < BUFFERS; i++)
		qp_post_receive(qp, i, memory + MEM_RECV + i * BUFFER_SIZE);
}

/* entry `count` of a ring is there when its color is that of this pass */
static const uint8_t *await_entry(const uint8_t *ring, unsigned count, unsigned ms)
{
	const volatile uint8_t *entry = ring + count % RING_ENTRIES * DESC_SIZE;
	unsigned color = !(count / RING_ENTRIES % 2);

	for (;; ms--) {
		if (entry[CQ_DESC_TYPE_COLOR] >> CQ_DESC_COLOR_SHIFT == color) {
			__sync_synchronize();
			return (const uint8_t *)entry;
		}
		if (!ms)
			return NULL;
		usleep(1000);
	}
}

/* headers with empty checksums: the VIC fills them in */
static unsigned write_frame(struct queue_pair *qp, uint8_t *frame, const uint8_t *to_mac,
			    struct in_addr to, uint16_t port, const char *payload)
{
	unsigned length = strlen(payload) + 1;
	struct iphdr ip = {
		.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
		.tot_len = htons(20 + 8 + length), .saddr = qp->dev->ip.s_addr, .daddr = to.s_addr,
	};
	struct udphdr udp = {
		.source = htons(qp->port), .dest = htons(port), .len = htons(8 + length),
	};

	memcpy(frame, to_mac, 6);
	memcpy(frame + 6, qp->dev->mac, 6);
	memcpy(frame + 12, "\x08\x00", 2);
	memcpy(frame + 14, &ip, sizeof(ip));
	memcpy(frame + 34, &udp, sizeof(udp));
	memcpy(frame + HEADERS, payload, length);
	return HEADERS + length;
}

void qp_send(struct queue_pair *qp, const uint8_t *to_mac, struct in_addr to, uint16_t port,
	     const char *payload)
{
	unsigned index = qp->sent % RING_ENTRIES;
	uint8_t *frame = qp->memory + MEM_SEND;
	uint8_t *desc = qp->memory + MEM_WQ + index * DESC_SIZE;
	uint64_t address = bus_address(frame);
	uint16_t length = write_frame(qp, frame, to_mac, to, port, payload);
	uint16_t checksums = (WQ_ENET_CSUM_IPV4 | WQ_ENET_CSUM_L4) << WQ_ENET_MSS_SHIFT;
	uint16_t flags = WQ_ENET_EOP | WQ_ENET_CQ_ENTRY;

	memcpy(desc + WQ_DESC_ADDRESS, &address, sizeof(address));
	memcpy(desc + WQ_DESC_LENGTH, &length, sizeof(length));
	memcpy(desc + WQ_DESC_MSS, &checksums, sizeof(checksums));
	memcpy(desc + WQ_DESC_FLAGS, &flags, sizeof(flags));
	__sync_synchronize();
	set32(qp->wq + QUEUE_POSTED_INDEX, (index + 1) % RING_ENTRIES);
	if (!await_entry(qp->memory + MEM_SEND_CQ, qp->sent, SEND_MS))
		die("VF %u did not send", qp->resp.vfid);
	qp->sent++;
}

bool qp_receive(struct queue_pair *qp, unsigned ms, struct received *received)
{
	const uint8_t *entry = await_entry(qp->memory + MEM_RECV_CQ, qp->received, ms);
	uint16_t index, bytes;

	if (!entry)
		return false;
	memcpy(&index, entry + CQ_DESC_COMPLETED_INDEX, sizeof(index));
	memcpy(&bytes, entry + CQ_DESC_BYTES, sizeof(bytes));
	index %= RING_ENTRIES;
	*received = (struct received){
		.bytes = bytes & RQ_ENET_LEN_MASK,
		.type = entry[CQ_DESC_TYPE_COLOR] & 0xf,
		.flags = entry[CQ_DESC_FLAGS],
		.payload = (char *)qp->memory + MEM_RECV + index * BUFFER_SIZE + HEADERS,
	};
	qp->received++;
	return true;
}

uint32_t qp_rq_error(struct queue_pair *qp)
{
	return get32(qp->rq + RQ_ERROR_STATUS);
}
