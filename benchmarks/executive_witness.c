/* The witness of a measurement: a thread that does nothing but wake up on absolute deadlines and write down how late it
 * was. Where it is late as well, the machine was, and not what is measured beside it. Built by executive_witness.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

typedef struct {
    pthread_t thread;
    int64_t first_ns, period_ns, room;
    int64_t *late_ns;
    int32_t priority, refused;
    atomic_llong count;
    atomic_int stop, up;
} witness;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *run(void *argument)
{
    witness *w = argument;
    struct sched_param wanted = {.sched_priority = w->priority};
    prctl(PR_SET_TIMERSLACK, 1UL);
    w->refused = w->priority ? pthread_setschedparam(pthread_self(), SCHED_FIFO, &wanted) : 0;
    atomic_store(&w->up, 1);
    for (int64_t i = 0; i < w->room && !atomic_load(&w->stop); i++) {
        const int64_t nominal = w->first_ns + i * w->period_ns;
        const struct timespec until = {.tv_sec = nominal / 1000000000, .tv_nsec = nominal % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        w->late_ns[i] = now_ns() - nominal;
        atomic_store(&w->count, i + 1);
    }
    return NULL;
}

/* Ticks at first_ns, first_ns + period_ns, ... into `late_ns`, which has room for so many. NULL: no thread. */
witness *witness_start(int64_t first_ns, int64_t period_ns, int64_t room, int64_t *late_ns, int32_t priority)
{
    witness *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->first_ns = first_ns, w->period_ns = period_ns, w->room = room, w->late_ns = late_ns, w->priority = priority;
    if (pthread_create(&w->thread, NULL, run, w)) {
        free(w);
        return NULL;
    }
    while (!atomic_load(&w->up))
        sched_yield();
    return w;
}

/* 0, or the errno with which SCHED_FIFO was refused. */
int32_t witness_refused(const witness *w)
{
    return w->refused;
}

/* Ends and frees it; how many ticks it wrote. */
int64_t witness_stop(witness *w)
{
    atomic_store(&w->stop, 1);
    pthread_join(w->thread, NULL);
    const int64_t count = atomic_load(&w->count);
    free(w);
    return count;
}

/* Keeps the processor for so long. Called through an interface that keeps the interpreter's lock, it keeps that too. */
void witness_spin(int64_t ns)
{
    const int64_t end = now_ns() + ns;
    while (now_ns() < end)
        ;
}
