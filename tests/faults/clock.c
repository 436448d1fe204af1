/* The wall clock of a program, moved by the number of seconds in a file. LD_PRELOAD puts it before libc's. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long long *moved;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WEIGHBRIDGE_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file >= 0) {
        void *memory = mmap(0, sizeof *moved, PROT_READ, MAP_SHARED, file, 0);
        moved = memory == MAP_FAILED ? 0 : memory;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && moved) {
        time->tv_sec += *moved;
    }
    return result;
}
