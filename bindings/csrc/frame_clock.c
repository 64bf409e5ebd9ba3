/* The frame clock: a thread releases frames on absolute deadlines.
 *
 * One mutex with priority inheritance guards everything; the thread holds it for the accounting of one wake-up.
 * What becomes of the frames is in frame_account.c, the watchdog in clock_watchdog.c, what the thread does while
 * nobody checks in in clock_duties.c. */
#include "clock_state.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define STACK_OCTETS (256 * 1024)
#define STACK_TOUCHED (64 * 1024)

#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0
#endif

static int pin(int core)
{
#ifdef __linux__
    cpu_set_t alone;
    CPU_ZERO(&alone);
    CPU_SET((size_t)core, &alone);
    return pthread_setaffinity_np(pthread_self(), sizeof alone, &alone);
#else
    return ENOTSUP;
#endif
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
    clock->grant.realtime = clock->grant.lock_memory = clock->grant.core = -1;
    if (clock->setup.core >= 0)
        clock->grant.core = pin(clock->setup.core);
    /* Only what is mapped now: memory that is mapped later would make the process outgrow its limit.
     * It takes tens of milliseconds, so it comes before the first deadline is set. */
    if (clock->setup.lock_memory)
        clock->grant.lock_memory = mlockall(MCL_CURRENT) == 0 ? 0 : errno;
    if (clock->setup.realtime) {
        struct sched_param wanted = {.sched_priority = clock->setup.priority};
        clock->grant.realtime = pthread_setschedparam(pthread_self(), SCHED_FIFO | SCHED_RESET_ON_FORK, &wanted);
    }
}

static void *run(void *argument)
{
    sw_clock *clock = argument;
    prepare_thread(clock);
    pthread_mutex_lock(&clock->mutex);
    clock->start_ns = sw_now_ns() + clock->minor_ns;
    clock->up = 1;
    pthread_cond_broadcast(&clock->released);
    int64_t frame = 0;
    while (!clock->stop) {
        const struct timespec until = sw_timespec(sw_nominal(clock, frame));
        pthread_mutex_unlock(&clock->mutex);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        pthread_mutex_lock(&clock->mutex);
        if (clock->stop)
            break;
        frame = sw_clock_woke(clock, frame, sw_now_ns());
        pthread_cond_broadcast(&clock->released);
        sw_clock_do_duties(clock);
        sw_clock_feed(clock);
    }
    pthread_mutex_unlock(&clock->mutex);
    return NULL;
}

static int is_sound(const sw_clock_setup *s)
{
    return s->minor_us >= 100 && s->minor_us <= 1000000 && s->history >= 1 && s->history <= 1048576
        && s->pet_every_frames >= 1 && s->max_missed >= 0 && s->watchdog_fd >= -1
        && s->tolerance_us >= 0 && s->tolerance_us <= s->minor_us && s->catch_up_frames >= 0
        && s->catch_up_frames <= 1000 && s->catch_up_frames < s->history && s->core >= -1 && s->core <= 1023
        && s->duties_after >= 0 && s->duty_period >= 1
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
        frames[i].frame = SW_NONE;
    clock->setup = *setup, clock->frames = frames;
    clock->minor_ns = setup->minor_us * 1000;
    clock->owner = getpid();
    clock->newest = clock->pending = clock->taken = clock->checked_in = clock->next_duty = SW_NONE;
    clock->next_pet = setup->pet_every_frames;
    sw_output_open(&clock->watchdog, setup->watchdog_fd);
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
    if (!sw_clock_lock(clock))
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
