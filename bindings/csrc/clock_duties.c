/* What the thread does by itself while nobody checks in: a bounded list of small things that need no interpreter.
 *
 * They tell others that the clock lives and its Python does not. None of them pets the watchdog. */
#include "clock_state.h"

#include "decl/crc.h"

#include <stddef.h>
#include <string.h>

_Static_assert(2 * sizeof(sw_beat) == SW_BEAT_OCTETS, "two records");

/* The octets are another process's, too, which may read at any instant: of the two records it always finds one whole,
 * and the checksum tells it which. */
static void beat(uint8_t *page, sw_beat what)
{
    what.magic = SW_BEAT_MAGIC;
    what.crc = 0;
    what.crc = sw_crc32c((const uint8_t *)&what, sizeof what, 0);
    memcpy(page + (what.count % 2) * (int64_t)sizeof what, &what, sizeof what);
}

static int do_one(const sw_duty *duty, const sw_beat *what)
{
    if (duty->page != NULL) {
        beat(duty->page, *what);
        return 1;
    }
    const uint64_t one = 1; /* an eventfd adds it to its count */
    const uint8_t octet = 0;
    const void *octets = duty->octets == sizeof one ? (const void *)&one : &octet;
    return sw_output_write(&duty->output, octets, duty->octets) == 0;
}

void sw_clock_do_duties(sw_clock *clock)
{
    sw_counters *counters = &clock->counters;
    const int64_t missed = sw_clock_missed(clock);
    const int first = clock->next_duty == SW_NONE;
    if (clock->setup.duties_after == 0 || clock->duty_count == 0 || missed < clock->setup.duties_after
        || (!first && clock->newest < clock->next_duty))
        return;
    clock->next_duty = clock->newest + clock->setup.duty_period;
    if (first) {
        counters->silences++;
        counters->silence_duties = 0;
    }
    counters->silence_frames = missed;
    const sw_beat what = {.count = ++clock->beats, .frame = clock->newest, .monotonic_ns = sw_now_ns(),
                          .missed = missed, .withheld = counters->withheld};
    int done = 0;
    for (int i = 0; i < clock->duty_count; i++)
        done += do_one(&clock->duties[i], &what);
    counters->silence_duties += done;
    counters->duties_run += done;
    counters->duties_failed += clock->duty_count - done;
}

static int add(sw_clock *clock, const sw_duty *duty)
{
    int result = SW_OK;
    if (!sw_clock_lock(clock))
        return SW_E_STOPPED;
    if (clock->up || clock->running)
        result = SW_E_ORDER;
    else if (clock->duty_count == SW_DUTIES_MOST)
        result = SW_E_SPACE;
    else
        clock->duties[clock->duty_count++] = *duty;
    pthread_mutex_unlock(&clock->mutex);
    return result;
}

int sw_clock_duty_beat(sw_clock *clock, void *page)
{
    const sw_duty duty = {.page = page};
    return page == NULL ? SW_E_ARGUMENT : add(clock, &duty);
}

int sw_clock_duty_signal(sw_clock *clock, int32_t fd, int32_t octets)
{
    sw_duty duty = {.octets = (size_t)octets};
    if (fd < 0 || (octets != 1 && octets != 8))
        return SW_E_ARGUMENT;
    sw_output_open(&duty.output, fd);
    return add(clock, &duty);
}
