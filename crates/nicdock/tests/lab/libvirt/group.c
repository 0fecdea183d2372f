/*
 * For libvirtd, by LD_PRELOAD. libvirt 9.0 kills what it reads in a container's cgroup.procs (virCgroupKillInternal, src/util/vircgroup.c). For a process that
 * ends just then, Linux writes 0 there (cgroup_procs_show, kernel/cgroup/cgroup.c), and kill(2) takes 0 for the caller's own process group: libvirtd's. Here
 * such a process has ended, and SPARED tells of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int kill(pid_t pid, int sig)
{
	if (pid != 0)
		return syscall(SYS_kill, pid, sig);
	if (sig != 0) {
		int file = open(SPARED, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		if (file >= 0) {
			ssize_t ignored __attribute__((unused)) = write(file, "0\n", 2);

			close(file);
		}
	}
	errno = ESRCH;
	return -1;
}
