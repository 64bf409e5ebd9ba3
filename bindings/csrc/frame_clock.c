/* The frame clock: releases frames on absolute deadlines, accounts for every one, and decides on the watchdog.
 *
 * One mutex with priority inheritance guards everything; the thread holds it for the accounting of one wake-up.
 * A frame is in exactly one state, and the counters change with the state in `enter`, so that
 * released = run + late + skipped + open holds whenever the mutex is free. */
#include "decl/codes.h"
#include "decl/frame_clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define STACK_OCTETS (256 * 1024)
#define STACK_TOUCHED (64 * 1024)
#define NONE (-1)

struct sw_clock {
    sw_clock_setup setup;
    sw_clock_grant grant;
    pthread_mutex_t mutex;
    pthread_cond_t released; /* a frame was released, the thread is up, or it stops */
    pthread_t thread;
    pid_t owner;             /* a forked child has the memory, but no thread */
    int running, up, stop;
    int64_t minor_ns, start_ns;
    int64_t newest;          /* newest released frame, or NONE */
    int64_t pending;         /* released and not taken, or NONE: always the newest */
    int64_t taken;           /* handed out and not done, or NONE */
    int64_t checked_in;      /* newest frame at the last check-in */
    int checked_in_ever, checked_in_now, healthy;
    int64_t next_pet;
    sw_counters counters;
    sw_frame *frames;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    return t;
}

static int64_t nominal(const sw_clock *clock, int64_t frame)
{
    return clock->start_ns + frame * clock->minor_ns;
}

/* The record of a frame, or NULL if newer ones have taken its place. */
static sw_frame *record(sw_clock *clock, int64_t frame)
{
    sw_frame *at = &clock->frames[frame % clock->setup.history];
    return at->frame == frame ? at : NULL;
}

static int64_t *counter(sw_clock *clock, int32_t state)
{
    switch (state) {
    case SW_FRAME_RUN: return &clock->counters.run;
    case SW_FRAME_LATE: return &clock->counters.late;
    case SW_FRAME_SKIPPED: return &clock->counters.skipped;
    default: return &clock->counters.open;
    }
}

/* An open frame ends. The only place where one does. */
static void enter(sw_clock *clock, int64_t frame, int32_t state)
{
    sw_frame *at = record(clock, frame);
    clock->counters.open--;
    ++*counter(clock, state);
    if (at != NULL)
        at->state = state;
}

static void release(sw_clock *clock, int64_t frame, int64_t woke_ns)
{
    sw_frame *at = &clock->frames[frame % clock->setup.history];
    if (clock->pending != NONE)
        enter(clock, clock->pending, SW_FRAME_SKIPPED);
    memset(at, 0, sizeof *at);
    at->frame = frame;
    at->state = SW_FRAME_OPEN;
    at->release_late_ns = woke_ns - nominal(clock, frame);
    clock->newest = clock->pending = frame;
    clock->counters.released++;
    clock->counters.open++;
    clock->counters.missed_check_ins += frame > 0 && !clock->checked_in_now;
    clock->checked_in_now = 0;
}

/* Frames [frame, last] were overslept: all but the last are skipped at once, in time bounded by the history. */
static void release_up_to(sw_clock *clock, int64_t frame, int64_t last, int64_t woke_ns)
{
    int64_t beyond = last - frame - clock->setup.history;
    if (beyond > 0) { /* no record of these would survive */
        clock->counters.released += beyond;
        clock->counters.skipped += beyond;
        clock->counters.missed_check_ins += beyond;
        frame += beyond;
    }
    for (; frame <= last; frame++)
        release(clock, frame, woke_ns);
}

/* Never blocks: a watchdog that would is as bad as one that refuses, and is counted. */
static int pet(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) && write(fd, "", 1) == 1;
}

static int is_alive(const sw_clock *clock)
{
    return clock->checked_in_ever && clock->healthy && clock->newest - clock->checked_in <= clock->setup.max_missed;
}

static void prepare_thread(sw_clock *clock)
{
    volatile char stack[STACK_TOUCHED]; /* faulted in now, and not in the first frame */
    for (size_t i = 0; i < sizeof stack; i += 1024)
        stack[i] = 0;
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1UL);
    prctl(PR_SET_NAME, "swath-frames");
#endif
    clock->grant.realtime = clock->grant.lock_memory = -1;
    /* Only what is mapped now: memory that is mapped later would make the process outgrow its limit.
     * It takes tens of milliseconds, so it comes before the first deadline is set. */
    if (clock->setup.lock_memory)
        clock->grant.lock_memory = mlockall(MCL_CURRENT) == 0 ? 0 : errno;
    if (clock->setup.realtime) {
        struct sched_param wanted = {.sched_priority = clock->setup.priority};
        clock->grant.realtime = pthread_setschedparam(pthread_self(), SCHED_FIFO, &wanted);
    }
}

static void *run(void *argument)
{
    sw_clock *clock = argument;
    prepare_thread(clock);
    pthread_mutex_lock(&clock->mutex);
    clock->start_ns = now_ns() + clock->minor_ns;
    clock->up = 1;
    pthread_cond_broadcast(&clock->released);
    int64_t frame = 0;
    while (!clock->stop) {
        const struct timespec until = timespec_of(nominal(clock, frame));
        pthread_mutex_unlock(&clock->mutex);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        pthread_mutex_lock(&clock->mutex);
        if (clock->stop)
            break;
        const int64_t woke = now_ns(), behind = woke - nominal(clock, frame);
        if (behind > clock->counters.worst_release_ns)
            clock->counters.worst_release_ns = behind;
        /* Overslept by whole frames: they are released, and so skipped, at once; the newest is handed out. */
        const int64_t last = frame + behind / clock->minor_ns;
        clock->counters.late_wakes += last > frame;
        release_up_to(clock, frame, last, woke);
        frame = last + 1;
        pthread_cond_broadcast(&clock->released);
        int asked = 0, alive = 0;
        if (clock->setup.watchdog_fd >= 0 && clock->newest >= clock->next_pet) {
            clock->next_pet = (clock->newest / clock->setup.pet_every_frames + 1) * clock->setup.pet_every_frames;
            asked = 1, alive = is_alive(clock);
        }
        if (asked && !alive)
            clock->counters.withheld++;
        else if (asked) {
            pthread_mutex_unlock(&clock->mutex); /* a driver's write may take its time */
            int petted = pet(clock->setup.watchdog_fd);
            pthread_mutex_lock(&clock->mutex);
            ++*(petted ? &clock->counters.pets : &clock->counters.unwritable);
        }
    }
    pthread_mutex_unlock(&clock->mutex);
    return NULL;
}

/* The lock, for the process that has the thread; a forked child would wait for a holder that it does not have. */
static int enter_clock(sw_clock *clock)
{
    if (clock->owner != getpid())
        return 0;
    pthread_mutex_lock(&clock->mutex);
    return 1;
}

static int is_sound(const sw_clock_setup *s)
{
    return s->minor_us >= 100 && s->minor_us <= 1000000 && s->history >= 1 && s->history <= 1048576
        && s->pet_every_frames >= 1 && s->max_missed >= 0 && s->watchdog_fd >= -1
        && (!s->realtime || (s->priority >= 1 && s->priority <= 99));
}

sw_clock *sw_clock_new(const sw_clock_setup *setup)
{
    if (!is_sound(setup))
        return NULL;
    sw_clock *clock = calloc(1, sizeof *clock);
    sw_frame *frames = calloc((size_t)setup->history, sizeof *frames);
    if (clock == NULL || frames == NULL) {
        free(clock);
        free(frames);
        return NULL;
    }
    for (int64_t i = 0; i < setup->history; i++)
        frames[i].frame = NONE;
    clock->setup = *setup, clock->frames = frames;
    clock->minor_ns = setup->minor_us * 1000;
    clock->owner = getpid();
    clock->newest = clock->pending = clock->taken = NONE;
    clock->next_pet = setup->pet_every_frames;
    pthread_mutexattr_t mutex;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setprotocol(&mutex, PTHREAD_PRIO_INHERIT); /* refused nowhere that matters; then plain */
    pthread_mutex_init(&clock->mutex, &mutex);
    pthread_mutexattr_destroy(&mutex);
    pthread_condattr_t condition;
    pthread_condattr_init(&condition);
    pthread_condattr_setclock(&condition, CLOCK_MONOTONIC);
    pthread_cond_init(&clock->released, &condition);
    pthread_condattr_destroy(&condition);
    return clock;
}

int sw_clock_start(sw_clock *clock, sw_clock_grant *grant)
{
    if (clock->running || clock->up || clock->owner != getpid())
        return SW_E_ORDER; /* a clock is started once */
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_OCTETS);
    sigfillset(&all); /* signals are for the interpreter's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int refused = pthread_create(&clock->thread, &attributes, run, clock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (refused) {
        errno = refused;
        return SW_E_SYSTEM;
    }
    pthread_mutex_lock(&clock->mutex);
    while (!clock->up)
        pthread_cond_wait(&clock->released, &clock->mutex);
    clock->running = 1;
    *grant = clock->grant;
    pthread_mutex_unlock(&clock->mutex);
    return SW_OK;
}

int sw_clock_stop(sw_clock *clock)
{
    if (!enter_clock(clock))
        return SW_OK;
    const int mine = clock->running; /* of several who stop, one joins */
    clock->running = 0;
    clock->stop = 1;
    pthread_cond_broadcast(&clock->released);
    pthread_mutex_unlock(&clock->mutex);
    if (!mine)
        return SW_OK;
    pthread_join(clock->thread, NULL);
    if (clock->grant.lock_memory == 0)
        munlockall();
    return SW_OK;
}

void sw_clock_free(sw_clock *clock)
{
    if (clock == NULL)
        return;
    sw_clock_stop(clock);
    if (clock->owner == getpid()) {
        pthread_cond_destroy(&clock->released);
        pthread_mutex_destroy(&clock->mutex);
    }
    free(clock->frames);
    free(clock);
}

int sw_clock_wait(sw_clock *clock, int64_t timeout_us, sw_slot *slot)
{
    const int64_t limit = timeout_us < 0 ? 0 : (timeout_us > 3600000000 ? 3600000000 : timeout_us);
    const struct timespec until = timespec_of(now_ns() + limit * 1000);
    int result = 0;
    if (!enter_clock(clock))
        return SW_E_STOPPED;
    while (clock->running && clock->pending == NONE)
        if (pthread_cond_timedwait(&clock->released, &clock->mutex, &until) == ETIMEDOUT)
            break;
    if (!clock->running)
        result = SW_E_STOPPED;
    else if (clock->pending != NONE) {
        if (clock->taken != NONE)
            enter(clock, clock->taken, SW_FRAME_LATE);
        sw_frame *at = record(clock, clock->pending); /* the newest always has its record */
        at->taken_ns = now_ns();
        slot->frame = clock->taken = clock->pending;
        slot->release_ns = nominal(clock, slot->frame);
        slot->lateness_ns = at->taken_ns - slot->release_ns;
        clock->pending = NONE;
        result = 1;
    }
    pthread_mutex_unlock(&clock->mutex);
    return result;
}

int sw_clock_done(sw_clock *clock, int64_t frame)
{
    int result = SW_E_ORDER;
    if (!enter_clock(clock))
        return SW_E_STOPPED;
    if (frame != NONE && frame == clock->taken) {
        const int64_t now = now_ns(), after = now - nominal(clock, frame);
        sw_frame *at = record(clock, frame);
        result = after < clock->minor_ns;
        enter(clock, frame, result ? SW_FRAME_RUN : SW_FRAME_LATE);
        if (at != NULL)
            at->done_ns = now;
        if (after > clock->counters.worst_done_ns)
            clock->counters.worst_done_ns = after;
        clock->taken = NONE;
    }
    pthread_mutex_unlock(&clock->mutex);
    return result;
}

int sw_clock_check_in(sw_clock *clock, int32_t healthy)
{
    if (!enter_clock(clock))
        return SW_E_STOPPED;
    clock->checked_in = clock->newest;
    clock->checked_in_ever = clock->checked_in_now = 1;
    clock->healthy = healthy != 0;
    pthread_mutex_unlock(&clock->mutex);
    return SW_OK;
}

int sw_clock_counters(sw_clock *clock, sw_counters *counters)
{
    if (!enter_clock(clock))
        return SW_E_STOPPED;
    *counters = clock->counters;
    pthread_mutex_unlock(&clock->mutex);
    return SW_OK;
}

int64_t sw_clock_history(sw_clock *clock, sw_frame *frames, int64_t count)
{
    if (!enter_clock(clock))
        return SW_E_STOPPED;
    int64_t first = clock->newest + 1 - (count < clock->setup.history ? count : clock->setup.history);
    int64_t written = 0;
    for (int64_t frame = first > 0 ? first : 0; frame <= clock->newest; frame++)
        frames[written++] = clock->frames[frame % clock->setup.history];
    pthread_mutex_unlock(&clock->mutex);
    return written;
}
