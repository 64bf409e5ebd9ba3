/* The account of frames: each is in exactly one state, and the counters change with the state in `enter`, so that
 * released = run + late + skipped + open holds whenever the mutex is free.
 *
 * Late wake-ups, the thread's and its reader's: less than a frame late is absorbed (the next deadline is absolute and
 * does not move), up to `catch_up_frames` behind the missed frames are handed out one after the other, beyond
 * that the newest is handed out and the older ones are skipped. Without the bound a reader that is slow because
 * it is overloaded would be asked for ever more. */
#include "clock_state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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
    if (frame == clock->taken) /* the only one of which anything was expected */
        clock->counters.frames_incomplete += (clock->expected & ~clock->done) != 0;
}

static void jump(sw_clock *clock)
{
    clock->counters.jumps += !clock->jumping; /* once, however long nobody takes a frame */
    clock->jumping = 1;
}

static void release(sw_clock *clock, int64_t frame, int64_t woke_ns)
{
    sw_frame *at = &clock->frames[frame % clock->setup.history];
    if (clock->pending != SW_NONE && (clock->jumping || frame - clock->pending > clock->setup.catch_up_frames)) {
        jump(clock);
        for (; clock->pending < frame; clock->pending++)
            enter(clock, clock->pending, SW_FRAME_SKIPPED);
    }
    memset(at, 0, sizeof *at);
    at->frame = frame;
    at->state = SW_FRAME_OPEN;
    at->release_late_ns = woke_ns - sw_nominal(clock, frame);
    clock->newest = frame;
    if (clock->pending == SW_NONE)
        clock->pending = frame;
    clock->counters.released++;
    clock->counters.open++;
    clock->counters.missed_check_ins += frame > 0 && !clock->checked_in_now;
    clock->checked_in_now = 0;
}

/* Frames [frame, last] were overslept and cannot all have a record: those that could not are skipped at once. */
static int64_t pass_over(sw_clock *clock, int64_t frame, int64_t last)
{
    const int64_t beyond = last - frame - clock->setup.history;
    if (beyond <= 0)
        return frame;
    for (; clock->pending != SW_NONE && clock->pending <= clock->newest; clock->pending++)
        enter(clock, clock->pending, SW_FRAME_SKIPPED);
    clock->pending = SW_NONE;
    clock->counters.released += beyond;
    clock->counters.skipped += beyond;
    clock->counters.missed_check_ins += beyond;
    return frame + beyond;
}

int64_t sw_clock_woke(sw_clock *clock, int64_t frame, int64_t woke_ns)
{
    const int64_t behind_ns = woke_ns - sw_nominal(clock, frame), behind = behind_ns / clock->minor_ns;
    sw_counters *counters = &clock->counters;
    if (behind_ns > counters->worst_release_ns)
        counters->worst_release_ns = behind_ns;
    if (behind > clock->setup.catch_up_frames) {
        counters->wakes_jumped++;
        jump(clock);
    } else if (behind > 0)
        counters->wakes_caught_up++;
    else if (behind_ns > clock->setup.tolerance_us * 1000)
        counters->wakes_absorbed++;
    else
        counters->wakes_on_time++;
    const int64_t last = frame + behind;
    for (frame = pass_over(clock, frame, last); frame <= last; frame++)
        release(clock, frame, woke_ns);
    return frame;
}

int sw_clock_lock(sw_clock *clock)
{
    if (clock->owner != getpid())
        return 0;
    pthread_mutex_lock(&clock->mutex);
    return 1;
}

int sw_clock_wait(sw_clock *clock, int64_t timeout_us, sw_slot *slot)
{
    const int64_t limit = timeout_us < 0 ? 0 : (timeout_us > 3600000000 ? 3600000000 : timeout_us);
    const struct timespec until = sw_timespec(sw_now_ns() + limit * 1000);
    int result = 0;
    if (!sw_clock_lock(clock))
        return SW_E_STOPPED;
    while (clock->running && clock->pending == SW_NONE)
        if (pthread_cond_timedwait(&clock->released, &clock->mutex, &until) == ETIMEDOUT)
            break;
    if (!clock->running)
        result = SW_E_STOPPED;
    else if (clock->pending != SW_NONE) {
        if (clock->taken != SW_NONE)
            enter(clock, clock->taken, SW_FRAME_LATE);
        const int64_t frame = clock->taken = clock->pending;
        clock->expected = clock->done = 0;
        sw_frame *at = record(clock, frame);
        slot->frame = frame;
        slot->release_ns = sw_nominal(clock, frame);
        const int64_t now = sw_now_ns();
        slot->lateness_ns = now - slot->release_ns;
        slot->behind = clock->newest - frame;
        if (at != NULL) /* the queue may be longer than the history */
            at->taken_ns = now;
        clock->counters.caught_up += slot->behind > 0;
        clock->pending = slot->behind > 0 ? frame + 1 : SW_NONE;
        clock->jumping = 0;
        result = 1;
    }
    pthread_mutex_unlock(&clock->mutex);
    return result;
}

int sw_clock_done(sw_clock *clock, int64_t frame)
{
    int result = SW_E_ORDER;
    if (!sw_clock_lock(clock))
        return SW_E_STOPPED;
    if (frame != SW_NONE && frame == clock->taken) {
        const int64_t now = sw_now_ns(), after = now - sw_nominal(clock, frame);
        sw_frame *at = record(clock, frame);
        result = after < clock->minor_ns;
        enter(clock, frame, result ? SW_FRAME_RUN : SW_FRAME_LATE);
        if (at != NULL)
            at->done_ns = now;
        if (after > clock->counters.worst_done_ns)
            clock->counters.worst_done_ns = after;
        clock->taken = SW_NONE;
    }
    pthread_mutex_unlock(&clock->mutex);
    return result;
}

/* The bits of the frame taken become these; its record, if it is still kept, says the same. */
static int set_bits(sw_clock *clock, int64_t frame, uint64_t expected, uint64_t done)
{
    int result = SW_E_ORDER;
    if (!sw_clock_lock(clock))
        return SW_E_STOPPED;
    if (frame != SW_NONE && frame == clock->taken) {
        sw_frame *at = record(clock, frame);
        clock->expected |= expected, clock->done |= done;
        if (at != NULL)
            at->expected = clock->expected, at->done = clock->done;
        result = SW_OK;
    }
    pthread_mutex_unlock(&clock->mutex);
    return result;
}

int sw_clock_expect(sw_clock *clock, int64_t frame, uint64_t bits)
{
    return set_bits(clock, frame, bits, 0);
}

int sw_clock_mark(sw_clock *clock, int64_t frame, uint64_t bits)
{
    return set_bits(clock, frame, 0, bits);
}

int sw_clock_check_in(sw_clock *clock, int32_t healthy)
{
    if (!sw_clock_lock(clock))
        return SW_E_STOPPED;
    int notices = clock->counters.watchdog_gone ? SW_NOTICE_WATCHDOG_GONE : 0;
    if (clock->next_duty != SW_NONE) {
        notices |= SW_NOTICE_DUTIES;
        clock->counters.silence_frames = sw_clock_missed(clock);
        clock->next_duty = SW_NONE;
    }
    clock->checked_in = clock->newest;
    clock->checked_in_now = 1;
    *(healthy ? &clock->well : &clock->ill) = 1;
    pthread_mutex_unlock(&clock->mutex);
    return notices;
}

int sw_clock_counters(sw_clock *clock, sw_counters *counters)
{
    if (!sw_clock_lock(clock))
        return SW_E_STOPPED;
    *counters = clock->counters;
    pthread_mutex_unlock(&clock->mutex);
    return SW_OK;
}

int64_t sw_clock_history(sw_clock *clock, sw_frame *frames, int64_t count)
{
    if (!sw_clock_lock(clock))
        return SW_E_STOPPED;
    int64_t first = clock->newest + 1 - (count < clock->setup.history ? count : clock->setup.history);
    int64_t written = 0;
    for (int64_t frame = first > 0 ? first : 0; frame <= clock->newest; frame++)
        frames[written++] = clock->frames[frame % clock->setup.history];
    pthread_mutex_unlock(&clock->mutex);
    return written;
}
