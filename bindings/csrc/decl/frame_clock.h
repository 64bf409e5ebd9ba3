#ifndef SWATH_DECL_FRAME_CLOCK_H
#define SWATH_DECL_FRAME_CLOCK_H

#include <stdint.h>

#define SW_FRAME_OPEN 0    /* released: not taken yet, or taken and not done */
#define SW_FRAME_RUN 1     /* done before the next release */
#define SW_FRAME_LATE 2    /* done after it, or given up for a newer one */
#define SW_FRAME_SKIPPED 3 /* jumped over: never taken */

#define SW_NOTICE_WATCHDOG_GONE 1 /* the last pet failed for the device is not there */
#define SW_NOTICE_DUTIES 2        /* this check-in ended a silence in which the thread did its duties */

#define SW_DUTIES_MOST 8
#define SW_BEAT_OCTETS 96           /* two records of sw_beat, written in turn */
#define SW_BEAT_MAGIC 0x53574254    /* "SWBT" */

/* A thread that releases a frame every `minor_us`, on absolute deadlines, whatever its reader does. */
typedef struct sw_clock sw_clock;

typedef struct {
    int64_t minor_us;         /* 100..1000000 */
    int64_t history;          /* records kept, 1..1048576 */
    int64_t pet_every_frames; /* >= 1 */
    int64_t max_missed;       /* frames since the last check-in beyond which nothing is petted */
    int64_t duties_after;     /* frames without a check-in after which the thread does its duties; 0: never */
    int64_t duty_period;      /* >= 1: frames from one round of duties to the next */
    int32_t watchdog_fd;      /* -1: none; one octet is written per pet; stays the caller's */
    int32_t realtime, priority, lock_memory;
    int32_t tolerance_us;    /* 0..minor_us: a wake-up later than this, but in its frame, is absorbed and counted */
    int32_t catch_up_frames; /* 0..1000, below `history`: so many missed frames are handed out late; with more, all are skipped */
    int32_t core;            /* the thread runs there alone, 0..1023; -1: anywhere */
} sw_clock_setup;

/* What the system granted: 0, or the errno of the refusal; -1: not asked for. */
typedef struct {
    int32_t realtime, lock_memory, core;
} sw_clock_grant;

typedef struct {
    int64_t frame;
    int64_t release_ns;  /* nominal, CLOCK_MONOTONIC */
    int64_t lateness_ns; /* from then to the hand-over */
    int64_t behind;      /* newer frames that are released already: more than 0 while catching up */
} sw_slot;

typedef struct {
    int64_t released, run, late, skipped, open; /* released = run + late + skipped + open, always */
    int64_t worst_release_ns;                   /* latest wake-up, from nominal */
    int64_t worst_done_ns;                      /* from nominal release to done */
    int64_t wakes_on_time;   /* of the thread; these four count every wake-up once */
    int64_t wakes_absorbed;  /* beyond the tolerance, but in the frame it meant: nothing is lost */
    int64_t wakes_caught_up; /* whole frames late, few enough to be handed out one after the other */
    int64_t wakes_jumped;    /* more: the newest is handed out, the others are skipped */
    int64_t caught_up;       /* frames handed out when a newer one was released already */
    int64_t jumps;           /* times that the queue was given up, for the thread's or its reader's lateness */
    int64_t missed_check_ins, pets, withheld;
    int64_t unwritable;        /* pets that the watchdog had no room for */
    int64_t watchdog_errors;   /* pets that failed for the device is not there or broken */
    int64_t watchdog_errno;    /* of the newest of these, 0: none */
    int64_t watchdog_gone;     /* 1 from such a failure until a pet gets through */
    int64_t frames_incomplete; /* run or late with a bit expected and not marked */
    int64_t silences;          /* times that the thread began with its duties */
    int64_t silence_frames;    /* frames without a check-in in the newest of these, so far */
    int64_t silence_duties;    /* duties done in it */
    int64_t duties_run, duties_failed; /* each duty of each round is in one of them */
} sw_counters;

/* One frame as it went; times are 0 until they happen. Laid out alike on every machine. */
typedef struct {
    int64_t frame, release_late_ns, taken_ns, done_ns;
    uint64_t expected, done; /* what was announced for the frame, and what ended in it */
    int32_t state, reserved;
} sw_frame;

/* What the thread leaves in memory while nobody checks in. The older of the two records is whole at any instant. */
typedef struct {
    uint32_t magic;
    uint32_t crc;         /* CRC-32C of the record with 0 here */
    int64_t count;        /* of records, from 1; record n is at place n % 2 */
    int64_t frame;        /* newest released */
    int64_t monotonic_ns; /* CLOCK_MONOTONIC */
    int64_t missed;       /* frames without a check-in */
    int64_t withheld;     /* pets that were due and not given, in all */
} sw_beat;

sw_clock *sw_clock_new(const sw_clock_setup *setup); /* NULL: no memory, or a setup out of its ranges */
void sw_clock_free(sw_clock *clock);                 /* stops it first */
int sw_clock_start(sw_clock *clock, sw_clock_grant *grant);
int sw_clock_stop(sw_clock *clock); /* joins the thread; again is harmless */
/* Duties, in the order in which they are done; before the start, SW_DUTIES_MOST at most. SW_E_ORDER, SW_E_SPACE.
 * Beat: a record into `page`, SW_BEAT_OCTETS, the caller's. Signal: 1 octet, or 8 that an eventfd takes,
 * written to `fd`, the caller's; it is never waited for. */
int sw_clock_duty_beat(sw_clock *clock, void *page);
int sw_clock_duty_signal(sw_clock *clock, int32_t fd, int32_t octets);

/* Waits for a frame newer than the last taken; takes the next of the queue. 1: taken, 0: time is up, SW_E_STOPPED. */
int sw_clock_wait(sw_clock *clock, int64_t timeout_us, sw_slot *slot);
/* 1: in time, 0: late, SW_E_ORDER: not the frame that was taken. */
int sw_clock_done(sw_clock *clock, int64_t frame);
/* For the frame that was taken, else SW_E_ORDER: `bits` more are to be marked before it is done; these ended. */
int sw_clock_expect(sw_clock *clock, int64_t frame, uint64_t bits);
int sw_clock_mark(sw_clock *clock, int64_t frame, uint64_t bits);
/* Returns the SW_NOTICE_ bits. */
int sw_clock_check_in(sw_clock *clock, int32_t healthy);
int sw_clock_counters(sw_clock *clock, sw_counters *counters);
/* The newest `count` records, oldest first; returns how many there are. */
int64_t sw_clock_history(sw_clock *clock, sw_frame *frames, int64_t count);

#endif
