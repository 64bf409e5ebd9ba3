/* The frame clock's watchdog that goes away, its duties while nobody checks in, its maps of what a frame is to end. */
#include "decl/codes.h"
#include "decl/frame_clock.h"
#include "drive.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static const sw_clock_setup SETUP = {.minor_us = 500, .history = 4, .pet_every_frames = 2, .max_missed = 1000,
                                     .watchdog_fd = -1, .core = -1, .duty_period = 1};

static sw_counters counters_of(sw_clock *clock)
{
    sw_counters c;
    REQUIRE(sw_clock_counters(clock, &c) == SW_OK);
    REQUIRE(c.released == c.run + c.late + c.skipped + c.open);
    return c;
}

static int64_t take(sw_clock *clock)
{
    sw_slot slot;
    REQUIRE(sw_clock_wait(clock, 10000000, &slot) == 1);
    return slot.frame;
}

static void one_word_is_one_pet(void)
{
    int ends[2];
    sw_clock_grant grant;
    REQUIRE(pipe(ends) == 0);
    sw_clock_setup setup = SETUP;
    setup.watchdog_fd = ends[1], setup.core = 0;
    sw_clock *clock = sw_clock_new(&setup);
    REQUIRE(clock != NULL && sw_clock_check_in(clock, 1) == 0);
    REQUIRE(sw_clock_start(clock, &grant) == SW_OK && grant.core >= 0);
    while (counters_of(clock).withheld < 5)
        usleep(500);
    REQUIRE(counters_of(clock).pets == 1);
    close(ends[0]); /* the device goes, and is told by a check-in */
    while (!(sw_clock_check_in(clock, 1) & SW_NOTICE_WATCHDOG_GONE))
        usleep(500);
    sw_counters c = counters_of(clock);
    REQUIRE(c.watchdog_errors > 0 && c.watchdog_errno == EPIPE && c.watchdog_gone == 1 && c.unwritable == 0);
    close(ends[1]);
    const int other = open("/dev/null", O_WRONLY); /* takes its number */
    REQUIRE(other >= 0);
    while (counters_of(clock).watchdog_errno != EBADF) {
        REQUIRE(sw_clock_check_in(clock, 1) >= 0);
        usleep(500);
    }
    sw_clock_free(clock);
    if (other >= 0)
        close(other);
}

static void a_frame_says_what_it_did_not_end(void)
{
    sw_clock_grant grant;
    sw_frame frames[4];
    sw_clock *clock = sw_clock_new(&SETUP);
    REQUIRE(clock != NULL && sw_clock_expect(clock, 0, 1) == SW_E_ORDER && sw_clock_expect(clock, -1, 1) == SW_E_ORDER);
    REQUIRE(sw_clock_start(clock, &grant) == SW_OK && grant.core == -1);
    for (int i = 0; i < 200; i++) {
        const int64_t frame = take(clock);
        const int64_t before = counters_of(clock).frames_incomplete;
        const uint64_t expected = UINT64_C(0x8000000000000001), done = i % 2 ? expected : 1;
        REQUIRE(sw_clock_expect(clock, frame, expected) == SW_OK);
        REQUIRE(sw_clock_mark(clock, frame, done) == SW_OK);
        REQUIRE(sw_clock_mark(clock, frame + 1, 2) == SW_E_ORDER);
        const int64_t count = sw_clock_history(clock, frames, 4);
        for (int64_t k = 0; k < count; k++) /* it may have gone from the history already */
            REQUIRE(frames[k].frame != frame || (frames[k].expected == expected && frames[k].done == done));
        if (i % 3) {
            REQUIRE(sw_clock_done(clock, frame) >= 0);
            REQUIRE(counters_of(clock).frames_incomplete == before + (done != expected));
            REQUIRE(sw_clock_mark(clock, frame, 2) == SW_E_ORDER);
        }
    }
    REQUIRE(sw_clock_done(clock, take(clock)) >= 0); /* nothing is expected of it */
    REQUIRE(counters_of(clock).frames_incomplete == 100);
    sw_clock_free(clock);
}

static void silence_is_filled_with_duties(void)
{
    int ends[2];
    sw_clock_grant grant;
    uint8_t *page = octets(SW_BEAT_OCTETS);
    REQUIRE(pipe(ends) == 0);
    sw_clock_setup setup = SETUP;
    setup.duties_after = 3, setup.duty_period = 2;
    sw_clock *clock = sw_clock_new(&setup);
    REQUIRE(clock != NULL);
    REQUIRE(sw_clock_duty_beat(clock, NULL) == SW_E_ARGUMENT && sw_clock_duty_signal(clock, -1, 1) == SW_E_ARGUMENT);
    REQUIRE(sw_clock_duty_signal(clock, ends[1], 2) == SW_E_ARGUMENT);
    REQUIRE(sw_clock_duty_beat(clock, page) == SW_OK && sw_clock_duty_signal(clock, ends[1], 8) == SW_OK);
    for (int i = 2; i < SW_DUTIES_MOST; i++)
        REQUIRE(sw_clock_duty_signal(clock, ends[1], 1) == SW_OK);
    REQUIRE(sw_clock_duty_signal(clock, ends[1], 1) == SW_E_SPACE);
    REQUIRE(sw_clock_start(clock, &grant) == SW_OK);
    REQUIRE(sw_clock_duty_beat(clock, page) == SW_E_ORDER);
    while (counters_of(clock).duties_run < 10 * SW_DUTIES_MOST)
        usleep(500);
    REQUIRE(sw_clock_check_in(clock, 1) == SW_NOTICE_DUTIES);
    sw_counters c = counters_of(clock);
    REQUIRE(c.silences >= 1 && c.silence_frames >= 3 + 9 * 2 && c.duties_failed == 0);
    close(ends[0]); /* whoever was to hear it */
    while (counters_of(clock).duties_failed < 2 * (SW_DUTIES_MOST - 1))
        usleep(500);
    REQUIRE(sw_clock_stop(clock) == SW_OK);
    c = counters_of(clock);
    sw_beat beats[2];
    memcpy(beats, page, sizeof beats);
    REQUIRE(beats[0].magic == SW_BEAT_MAGIC && beats[1].magic == SW_BEAT_MAGIC);
    REQUIRE(beats[0].count % 2 == 0 && beats[1].count % 2 == 1 && beats[0].missed >= 3);
    REQUIRE(beats[0].count - beats[1].count == 1 || beats[1].count - beats[0].count == 1);
    const int64_t rounds = beats[0].count > beats[1].count ? beats[0].count : beats[1].count;
    REQUIRE(c.duties_run + c.duties_failed == rounds * SW_DUTIES_MOST);
    sw_clock_free(clock);
    close(ends[1]);
    free(page);
}

void drive_clock(void)
{
    one_word_is_one_pet();
    a_frame_says_what_it_did_not_end();
    silence_is_filled_with_duties();
}
