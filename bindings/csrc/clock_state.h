/* What the parts of the frame clock share: its state, and the few functions that change it under the lock. */
#ifndef SWATH_CLOCK_STATE_H
#define SWATH_CLOCK_STATE_H

#include "decl/codes.h"
#include "decl/frame_clock.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define SW_NONE (-1)

/* A descriptor of the caller's, and what it stood for: were it closed, its number could come to stand for a journal. */
typedef struct {
    int fd;
    struct stat was;
} sw_output;

typedef struct {
    uint8_t *page;    /* of a beat, or NULL */
    sw_output output; /* of a signal */
    size_t octets;
} sw_duty;

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
    uint64_t expected, done; /* the bits of the frame taken */
    int64_t checked_in;      /* newest frame at the last check-in; SW_NONE: there was none */
    int checked_in_now;      /* since the newest frame */
    int well, ill;           /* said since the watchdog was decided on last */
    int64_t next_pet;
    sw_output watchdog;
    sw_duty duties[SW_DUTIES_MOST];
    int duty_count;
    int64_t next_duty;       /* SW_NONE: no duty was done since the last check-in */
    int64_t beats;
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

/* Frames released since the last check-in, without the one that is under way. The lock is held. */
static inline int64_t sw_clock_missed(const sw_clock *clock)
{
    const int64_t frames = clock->newest - clock->checked_in - 1;
    return frames > 0 ? frames : 0;
}

void sw_output_open(sw_output *output, int fd);
/* 0: all of it was taken; EAGAIN: there is no room now; else what failed. Never waits. */
int sw_output_write(const sw_output *output, const void *octets, size_t count);

/* Both are called by the thread with the lock held; the first lets go of it while it writes. */
void sw_clock_feed(sw_clock *clock);
void sw_clock_do_duties(sw_clock *clock);

#endif
