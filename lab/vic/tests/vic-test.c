/*
 * Claims about the virtual VIC, each proven through the stock drivers and raw
 * uverbs: vic-test CLAIM DEVICE … prints "proven: …" or fails. guest.sh runs
 * them all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include "queue_pair.h"
#include "../device/vnic_regs.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SOON_MS = 5000, NEVER_MS = 300, VFS_MAX = 64 };

static const char HELLO[] = "hello from a usNIC queue pair";
static const char FROM_KERNEL[] = "hello from a kernel's socket";

static void proven(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("proven: ");
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
}

static void create(struct queue_pair *qp, struct device *dev)
{
	int error = qp_create(qp, dev);

	if (error)
		die("CREATE_QP on %s: %s", dev->name, strerror(error));
}

static void send_to(struct queue_pair *from, struct queue_pair *to, const char *payload)
{
	qp_send(from, to->dev->mac, to->dev->ip, to->port, payload);
}

static void expect(struct queue_pair *qp, const char *payload)
{
	const uint8_t good = RX_FCS_OK | RX_IPV4 | RX_IPV4_CSUM_OK | RX_UDP | RX_TCP_UDP_CSUM_OK;
	struct received got;

	if (!qp_receive(qp, SOON_MS, &got))
		die("VF %u of %s received nothing", qp->resp.vfid, qp->dev->name);
	if (strcmp(got.payload, payload))
		die("received \"%s\" instead of \"%s\"", got.payload, payload);
	if (got.type != CQ_DESC_TYPE_CLASSIFIER || got.flags != good)
		die("the completion has type %u and flags %02x", got.type, got.flags);
}

static void expect_nothing(struct queue_pair *qp, const char *why)
{
	struct received got;

	if (qp_receive(qp, NEVER_MS, &got))
		die("%s, but \"%s\" came", why, got.payload);
}

/* GET_CONTEXT to mmap, without REG_MR */
static void claim_opens(char **arg)
{
	struct device dev;
	struct queue_pair qp;

	device_open(&dev, arg[0]);
	create(&qp, &dev);
	proven("%s opens, gives a queue pair (VF %u, queue pair %u) and maps its BAR", dev.name,
	       qp.resp.vfid, qp.resp.common.qpn);
}

static void claim_reg_mr(char **arg)
{
	struct device dev;
	struct queue_pair qp;

	device_open(&dev, arg[0]);
	create(&qp, &dev);
	qp_start(&qp);
	proven("%s registers memory and reaches RTS", dev.name);
}

static void claim_vf_to_vf(char **arg)
{
	struct device dev;
	struct queue_pair a, b;

	device_open(&dev, arg[0]);
	create(&a, &dev);
	create(&b, &dev);
	if (a.resp.vfid == b.resp.vfid)
		die("two protection domains share VF %u", a.resp.vfid);
	qp_start(&a);
	qp_start(&b);
	for (unsigned i = 0; i < 12; i++)
		send_to(&a, &b, HELLO);
	for (unsigned i = 0; i < 12; i++)
		expect(&b, HELLO);
	send_to(&b, &a, "and back");
	expect(&a, "and back");
	qp_send(&a, dev.mac, dev.ip, 9, "to a port that is nobody's");
	expect_nothing(&a, "the port is nobody's");
	expect_nothing(&b, "the port is nobody's");
	proven("datagrams go from VF %u to VF %u of %s and back, by their UDP ports alone",
	       a.resp.vfid, b.resp.vfid, dev.name);
}

static void claim_two_vics(char **arg)
{
	struct device here, there;
	struct queue_pair a, b;

	device_open(&here, arg[0]);
	device_open(&there, arg[1]);
	create(&a, &here);
	create(&b, &there);
	qp_start(&a);
	qp_start(&b);
	send_to(&a, &b, HELLO);
	expect(&b, HELLO);
	send_to(&b, &a, "and back");
	expect(&a, "and back");
	proven("datagrams go from %s to %s and back", here.name, there.name);
}

/* prints the port; guest.sh sends to it from another network namespace */
static void claim_from_wire(char **arg)
{
	struct device dev;
	struct queue_pair qp;

	device_open(&dev, arg[0]);
	create(&qp, &dev);
	qp_start(&qp);
	printf("port %u\n", qp.port);
	fflush(stdout);
	expect(&qp, FROM_KERNEL);
	proven("a kernel's datagram from the wire reaches a queue pair of %s", dev.name);
}

/* arg: device, address, port and MAC address of a kernel socket elsewhere */
static void claim_to_wire(char **arg)
{
	struct device dev;
	struct queue_pair qp;
	struct in_addr to;
	uint8_t mac[6];

	device_open(&dev, arg[0]);
	if (!inet_aton(arg[1], &to) ||
	    sscanf(arg[3], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3,
		   mac + 4, mac + 5) != 6)
		die("usage: to-wire DEVICE ADDRESS PORT MAC");
	create(&qp, &dev);
	qp_start(&qp);
	qp_send(&qp, mac, to, atoi(arg[2]), HELLO);
	proven("a queue pair of %s sent a datagram to %s:%s", dev.name, arg[1], arg[2]);
}

/* every VF has a queue pair at once, and one more is refused */
static void claim_all_vfs(char **arg)
{
	static struct queue_pair qps[VFS_MAX + 1];
	struct device dev;
	unsigned vfs = atoi(arg[1]);
	int error;

	if (vfs < 2 || vfs > VFS_MAX)
		die("between 2 and %u VFs", VFS_MAX);
	device_open(&dev, arg[0]);
	for (unsigned i = 0; i < vfs; i++) {
		create(&qps[i], &dev);
		qp_start(&qps[i]);
	}
	error = qp_create(&qps[vfs], &dev);
	if (error != ENOMEM)
		die("protection domain %u of %u got: %s", vfs + 1, vfs, strerror(error));
	for (unsigned i = 1; i < vfs; i++) {
		char payload[32];

		snprintf(payload, sizeof(payload), "to queue pair %u", i);
		send_to(&qps[i - 1], &qps[i], payload);
		expect(&qps[i], payload);
	}
	proven("%u VFs of %s have a queue pair each, all receive, and one more gets ENOMEM", vfs,
	       dev.name);
}

/* the VF's DMA ends at the protection domain's memory */
static void claim_iommu(char **arg)
{
	static uint8_t outside[4096] __attribute__((aligned(4096)));
	struct device dev;
	struct queue_pair a, b;

	device_open(&dev, arg[0]);
	create(&a, &dev);
	create(&b, &dev);
	qp_start(&a);
	qp_start(&b);
	for (unsigned i = 0; i < 16; i++)
		qp_post_receive(&b, i, outside);
	send_to(&a, &b, HELLO);
	expect_nothing(&b, "the buffer is not registered");
	if (!qp_rq_error(&b))
		die("the receive queue shows no error");
	for (unsigned i = 0; i < sizeof(outside); i++) {
		if (outside[i])
			die("a VF wrote to memory that is not registered");
	}
	proven("VF %u of %s cannot write to memory that was not registered", b.resp.vfid, dev.name);
}

/* the queue pair fails to come to be, with this errno */
static void claim_refused(char **arg)
{
	struct device dev;
	struct queue_pair qp;
	int error;

	device_open(&dev, arg[0]);
	error = qp_create(&qp, &dev);
	if (error != atoi(arg[1]))
		die("CREATE_QP on %s gave %d (%s)", dev.name, error, strerror(error));
	proven("%s refuses a queue pair: %s", dev.name, strerror(error));
}

/* receives once, then not any more after a line on standard input */
static void claim_goes_silent(char **arg)
{
	struct device dev;
	struct queue_pair a, b;
	char line[8];

	device_open(&dev, arg[0]);
	create(&a, &dev);
	create(&b, &dev);
	qp_start(&a);
	qp_start(&b);
	send_to(&a, &b, HELLO);
	expect(&b, HELLO);
	printf("vf %u\n", b.resp.vfid);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		die("nobody says when");
	send_to(&a, &b, HELLO);
	expect_nothing(&b, "VF was reset");
	proven("VF %u of %s receives nothing after it was reset", b.resp.vfid, dev.name);
}

/* ---- the other side: kernel sockets, for guest.sh in another namespace ---- */

static int kernel_socket(const char *address)
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = SOON_MS / 1000 };
	socklen_t length = sizeof(here);
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	if (!inet_aton(address, &here.sin_addr) ||
	    bind(sock, (struct sockaddr *)&here, sizeof(here)) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    getsockname(sock, (struct sockaddr *)&here, &length))
		die("no socket on %s: %s", address, strerror(errno));
	printf("port %u\n", ntohs(here.sin_port));
	fflush(stdout);
	return sock;
}

static void claim_kernel_receives(char **arg)
{
	char payload[sizeof(HELLO) + 1] = "";
	ssize_t got = recv(kernel_socket(arg[0]), payload, sizeof(payload), 0);

	if (got != sizeof(HELLO) || strcmp(payload, HELLO))
		die("the kernel's socket received %zd bytes: \"%s\"", got, payload);
	proven("the kernel accepts a queue pair's datagram, its checksums filled in by the VIC");
}

/* arg: own address, the other's address and port */
static void claim_kernel_sends(char **arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(arg[2])) };

	if (!inet_aton(arg[1], &to.sin_addr) ||
	    sendto(kernel_socket(arg[0]), FROM_KERNEL, sizeof(FROM_KERNEL), 0,
		   (struct sockaddr *)&to, sizeof(to)) < 0)
		die("cannot send to %s: %s", arg[1], strerror(errno));
}

static const struct {
	const char *name;
	int args;
	void (*prove)(char **arg);
} claims[] = {
	{ "opens", 1, claim_opens },
	{ "reg-mr", 1, claim_reg_mr },
	{ "vf-to-vf", 1, claim_vf_to_vf },
	{ "two-vics", 2, claim_two_vics },
	{ "from-wire", 1, claim_from_wire },
	{ "to-wire", 4, claim_to_wire },
	{ "all-vfs", 2, claim_all_vfs },
	{ "iommu", 1, claim_iommu },
	{ "refused", 2, claim_refused },
	{ "goes-silent", 1, claim_goes_silent },
	{ "kernel-receives", 1, claim_kernel_receives },
	{ "kernel-sends", 3, claim_kernel_sends },
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 1 && i < sizeof(claims) / sizeof(*claims); i++) {
		if (!strcmp(argv[1], claims[i].name) && argc == 2 + claims[i].args) {
			claims[i].prove(argv + 2);
			return 0;
		}
	}
	die("usage: vic-test CLAIM DEVICE …; see the claims in vic-test.c");
}
