/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { QP_TYPE_UD = 4, QP_ATTR_STATE = 1, ACCESS_LOCAL_WRITE = 1, TRANSPORT_IPV4_UDP = 2 };

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "FAILED: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

/* every command starts with where its response goes; 0 or an errno */
static int command(struct device *dev, int number, void *request, size_t request_size,
		   void *response, size_t response_size)
{
	struct ib_uverbs_cmd_hdr header = {
		.command = number,
		.in_words = (sizeof(header) + request_size) / 4,
		.out_words = response_size / 4,
	};
	uint64_t to = (uintptr_t)response;
	uint8_t message[512];
	ssize_t size = sizeof(header) + request_size;

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), request, request_size);
	memcpy(message + sizeof(header), &to, sizeof(to));
	return write(dev->fd, message, size) == size ? 0 : errno;
}

static void must(struct device *dev, const char *what, int error)
{
	if (error)
		die("%s on %s: %s", what, dev->name, strerror(error));
}

#define COMMAND(dev, name, request, response)                                         \
	must(dev, #name, command(dev, IB_USER_VERBS_CMD_##name, &(request), sizeof(request), \
				 &(response), sizeof(response)))

static void read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(line, size, file))
		die("cannot read %s: %s", path, strerror(errno));
	line[strcspn(line, "\n")] = 0;
	fclose(file);
}

/* the node is found by ibdev: numbers of uverbs and usnic need not agree */
static int open_node(const char *name)
{
	glob_t found;
	int fd = -1;

	if (glob("/sys/class/infiniband_verbs/uverbs*", 0, NULL, &found))
		die("no uverbs device");
	for (size_t i = 0; i < found.gl_pathc && fd < 0; i++) {
		char path[300], ibdev[64];

		snprintf(path, sizeof(path), "%s/ibdev", found.gl_pathv[i]);
		read_line(path, ibdev, sizeof(ibdev));
		if (strcmp(ibdev, name))
			continue;
		snprintf(path, sizeof(path), "/dev/infiniband/%s", basename(found.gl_pathv[i]));
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			die("cannot open %s: %s", path, strerror(errno));
	}
	globfree(&found);
	if (fd < 0)
		die("no RDMA device %s", name);
	return fd;
}

static void find_addresses(struct device *dev)
{
	struct ifreq request = { 0 };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(request.ifr_name, dev->netdev, sizeof(dev->netdev));
	if (ioctl(sock, SIOCGIFHWADDR, &request))
		die("no netdev %s here: %s", dev->netdev, strerror(errno));
	memcpy(dev->mac, request.ifr_hwaddr.sa_data, sizeof(dev->mac));
	if (ioctl(sock, SIOCGIFADDR, &request))
		die("%s has no IPv4 address: %s", dev->netdev, strerror(errno));
	dev->ip = ((struct sockaddr_in *)&request.ifr_addr)->sin_addr;
	close(sock);
}

void device_open(struct device *dev, const char *name)
{
	struct ib_uverbs_get_context request = { 0 };
	struct ib_uverbs_get_context_resp response;
	struct ib_uverbs_query_device query = { 0 };
	struct ib_uverbs_query_device_resp answer;
	char path[128];

	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->fd = open_node(name);
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/iface", name);
	read_line(path, dev->netdev, sizeof(dev->netdev));
	find_addresses(dev);
	COMMAND(dev, GET_CONTEXT, request, response);
	COMMAND(dev, QUERY_DEVICE, query, answer);
}

uint32_t device_alloc_pd(struct device *dev)
{
	struct ib_uverbs_alloc_pd request = { 0 };
	struct ib_uverbs_alloc_pd_resp response;

	COMMAND(dev, ALLOC_PD, request, response);
	return response.pd_handle;
}

uint32_t device_create_cq(struct device *dev, uint32_t entries)
{
	struct ib_uverbs_create_cq request = { .cqe = entries, .comp_channel = -1 };
	struct ib_uverbs_create_cq_resp response;

	COMMAND(dev, CREATE_CQ, request, response);
	return response.cq_handle;
}

void device_reg_mr(struct device *dev, uint32_t pd, void *start, size_t length)
{
	struct ib_uverbs_reg_mr request = {
		.start = (uintptr_t)start,
		.length = length,
		.hca_va = (uintptr_t)start,
		.pd_handle = pd,
		.access_flags = ACCESS_LOCAL_WRITE,
	};
	struct ib_uverbs_reg_mr_resp response;

	COMMAND(dev, REG_MR, request, response);
}

void device_modify_qp(struct device *dev, uint32_t qp, enum qp_state state)
{
	struct ib_uverbs_modify_qp request = {
		.qp_handle = qp, .attr_mask = QP_ATTR_STATE, .qp_state = state,
	};

	must(dev, "MODIFY_QP", command(dev, IB_USER_VERBS_CMD_MODIFY_QP, &request,
				       sizeof(request), NULL, 0));
}

int device_create_qp(struct device *dev, uint32_t pd, uint32_t send_cq, uint32_t recv_cq,
		     int udp_socket, struct usnic_create_qp_resp *resp)
{
	struct {
		struct ib_uverbs_create_qp common;
		uint32_t transport, sock_fd;	/* struct usnic_transport_spec */
	} __attribute__((packed)) request = {
		.common = {
			.pd_handle = pd,
			.send_cq_handle = send_cq,
			.recv_cq_handle = recv_cq,
			.max_send_wr = 32,
			.max_recv_wr = 32,
			.qp_type = QP_TYPE_UD,
		},
		.transport = TRANSPORT_IPV4_UDP,
		.sock_fd = udp_socket,
	};

	return command(dev, IB_USER_VERBS_CMD_CREATE_QP, &request, sizeof(request), resp,
		       sizeof(*resp));
}
