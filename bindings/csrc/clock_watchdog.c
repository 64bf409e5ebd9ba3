/* The decision on the watchdog, and writes to what other people may have closed, unplugged or stopped reading.
 *
 * It is petted at each pet period for a healthy check-in since the last decision, if there was no unhealthy one since
 * and it is not stale. Each decision uses up what was said before it, so that one good word does not last for ever. */
#include "clock_state.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void sw_output_open(sw_output *output, int fd)
{
    output->fd = fd;
    if (fd < 0 || fstat(fd, &output->was) != 0)
        memset(&output->was, 0, sizeof output->was); /* like nothing that can be open: it is never written to */
}

/* A device that was unplugged and is back under the same descriptor has another inode, and is the same device. */
static int is_same(const struct stat *one, const struct stat *other)
{
    if ((one->st_mode & S_IFMT) != (other->st_mode & S_IFMT))
        return 0;
    if (S_ISCHR(one->st_mode))
        return one->st_rdev == other->st_rdev;
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

int sw_output_write(const sw_output *output, const void *octets, size_t count)
{
    struct stat now;
    if (fstat(output->fd, &now) != 0)
        return errno;
    if (!is_same(&output->was, &now))
        return EBADF;
    struct pollfd ready = {.fd = output->fd, .events = POLLOUT};
    const int found = poll(&ready, 1, 0);
    if (found < 0)
        return errno;
    if (!(ready.revents & POLLOUT)) {
        if (ready.revents & POLLNVAL)
            return EBADF;
        return ready.revents & (POLLERR | POLLHUP) ? ENODEV : EAGAIN;
    }
    const ssize_t written = write(output->fd, octets, count); /* no SIGPIPE: the thread has all signals blocked */
    return written < 0 ? errno : written == (ssize_t)count ? 0 : EAGAIN;
}

static int is_alive(const sw_clock *clock)
{
    return clock->well && !clock->ill && clock->newest - clock->checked_in <= clock->setup.max_missed;
}

void sw_clock_feed(sw_clock *clock)
{
    sw_counters *counters = &clock->counters;
    if (clock->setup.watchdog_fd < 0 || clock->newest < clock->next_pet)
        return;
    clock->next_pet = (clock->newest / clock->setup.pet_every_frames + 1) * clock->setup.pet_every_frames;
    const int alive = is_alive(clock);
    clock->well = clock->ill = 0;
    if (!alive) {
        counters->withheld++;
        return;
    }
    pthread_mutex_unlock(&clock->mutex); /* a driver's write may take its time */
    const int refused = sw_output_write(&clock->watchdog, "", 1);
    pthread_mutex_lock(&clock->mutex);
    if (refused == 0) {
        counters->pets++;
        counters->watchdog_gone = 0;
    } else if (refused == EAGAIN || refused == EINTR)
        counters->unwritable++;
    else {
        counters->watchdog_errors++;
        counters->watchdog_errno = refused;
        counters->watchdog_gone = 1;
    }
}
