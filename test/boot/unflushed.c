/*
 * Preloaded into user-mode Linux, so that a disk can lose what was not flushed when the power is cut. If a
 * file DISK.unflushed exists beside a disk, each write to the disk first appends to that file what it
 * replaces: for each block its offset and its contents. A flush empties the file.
 *
 * Only one thread writes to disks (io_thread() in arch/um/drivers/ubd_kern.c), so nothing is locked. Its
 * stack may be as small as a page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096, DESCRIPTORS = 1024 };

/* The file for the disk with this descriptor; 0 if it has none. */
static int files[DESCRIPTORS];

static int file_of(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS ? files[fd] : 0;
}

/* Ends the machine: without the old contents, its disk would be one that loses nothing. */
static void check(int is_well, const char *what)
{
	if (is_well)
		return;
	(void)!write(STDERR_FILENO, what, strlen(what));
	abort();
}

int open64(const char *path, int flags, ...)
{
	static const char suffix[] = ".unflushed";
	char name[256];
	va_list words;
	va_start(words, flags);
	int fd = syscall(SYS_openat, AT_FDCWD, path, flags, va_arg(words, unsigned int));
	va_end(words);
	if (fd < 0 || fd >= DESCRIPTORS)
		return fd;
	/* The descriptor may have been another disk's. */
	if (files[fd])
		close(files[fd]);
	files[fd] = 0;
	size_t length = strlen(path);
	if (length + sizeof suffix > sizeof name)
		return fd;
	memcpy(name, path, length);
	memcpy(name + length, suffix, sizeof suffix);
	int file = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CLOEXEC);
	check(file > 0 || errno == ENOENT, "unflushed: cannot open\n");
	if (file > 0)
		files[fd] = file;
	return fd;
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset)
{
	static struct {
		uint64_t offset;
		char contents[BLOCK];
	} old;
	off64_t end = offset + count;
	if (file_of(fd))
		for (off64_t block = offset / BLOCK * BLOCK; block < end; block += BLOCK) {
			old.offset = block;
			check(pread64(fd, old.contents, BLOCK, block) == BLOCK, "unflushed: cannot read the disk\n");
			check(write(file_of(fd), &old, sizeof old) == sizeof old, "unflushed: cannot write\n");
		}
	return syscall(SYS_pwrite64, fd, data, count, offset);
}

/* What is on the host's disk does not matter, so it need not wait for that. */
int fdatasync(int fd)
{
	return file_of(fd) ? ftruncate(file_of(fd), 0) : syscall(SYS_fdatasync, fd);
}

/* The beginning of the driver's struct io_thread_req. */
struct request {
	void *request;
	int descriptors[2];
	unsigned long offsets[2];
	unsigned long long offset;
	int sector_size, error, parts;
};
enum { REQUESTS = 64 };

/*
 * The driver hands over requests by their addresses. As of Linux 7.2, its thread does nothing about a flush,
 * which has no parts: ubd_submit_request(). If it has one, the thread calls fdatasync(): do_io().
 */
ssize_t read(int fd, void *buffer, size_t count)
{
	struct request **requests = buffer;
	ssize_t got = syscall(SYS_read, fd, buffer, count);
	if (count == REQUESTS * sizeof *requests && gettid() != getpid())
		for (ssize_t number = 0; number < got / (ssize_t)sizeof *requests; number++)
			if (requests[number]->parts == 0)
				requests[number]->parts = 1;
	return got;
}
