/* What the parts of the frame clock share: its state, and the few functions that change it under the lock. */
#ifndef SWATH_CLOCK_STATE_H
#define SWATH_CLOCK_STATE_H

#include "decl/codes.h"
#include "decl/frame_clock.h"

#include <pthread.h>
#include <sys/types.h>
#include <time.h>

#define SW_NONE (-1)

struct sw_clock {
    sw_clock_setup setup;
    sw_clock_grant grant;
    pthread_mutex_t mutex;
    pthread_cond_t released; /* a frame was released, the thread is up, or it stops */
    pthread_t thread;
    pid_t owner;             /* a forked child has the memory, but no thread */
    int running, up, stop;
    int jumping;             /* the queue was given up, and nothing was taken since */
    int64_t minor_ns, start_ns;
    int64_t newest;          /* newest released frame, or SW_NONE */
    int64_t pending;         /* oldest released and not taken; up to `newest` they are the queue. Or SW_NONE */
    int64_t taken;           /* handed out and not done, or SW_NONE */
    int64_t checked_in;      /* newest frame at the last check-in */
    int checked_in_ever, checked_in_now, healthy;
    int64_t next_pet;
    sw_counters counters;
    sw_frame *frames;
};

static inline int64_t sw_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline struct timespec sw_timespec(int64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    return t;
}

static inline int64_t sw_nominal(const sw_clock *clock, int64_t frame)
{
    return clock->start_ns + frame * clock->minor_ns;
}

/* The lock, for the process that has the thread; a forked child would wait for a holder that it does not have. */
int sw_clock_lock(sw_clock *clock);
/* The thread meant to wake for `frame` and did at `woke_ns`: judges the wake-up, releases what is due by then and
 * returns the frame to wake for next. The lock is held. */
int64_t sw_clock_woke(sw_clock *clock, int64_t frame, int64_t woke_ns);

#endif
