#ifndef SWATH_DECL_ACTIVITY_ACCOUNT_H
#define SWATH_DECL_ACTIVITY_ACCOUNT_H

#include <stdint.h>

#define SW_ACCOUNT_BINS 112        /* [0]: below 256 ns, then four to the octave; the last is open */
#define SW_ACCOUNT_MOST 256        /* activities */
#define SW_ACCOUNT_MOST_RECENT 1024 /* runs */

/* The time that each activity takes, of the wall (CLOCK_MONOTONIC) and of the processor (CLOCK_THREAD_CPUTIME_ID).
 * For one thread: the one whose processor time it is. Nothing is allocated after sw_account_new. */
typedef struct sw_account sw_account;

typedef struct {
    int64_t wall_ns, cpu_ns;
} sw_spent;

typedef struct {
    int64_t runs;       /* ended */
    int64_t ignored;    /* of those, the first ones, which `worst` leaves out */
    int64_t over;       /* of all runs: of the wall and in whole microseconds, longer than declared */
    int64_t declared_us;
    sw_spent last, total;
    sw_spent worst;     /* ever */
    sw_spent recent;    /* worst of the last `recent_runs` */
    int64_t wall[SW_ACCOUNT_BINS], cpu[SW_ACCOUNT_BINS]; /* runs per bin: all of them */
} sw_activity;

/* recent_runs: 1..SW_ACCOUNT_MOST_RECENT; ignored: >= 0. NULL: no memory, or out of range. */
sw_account *sw_account_new(int32_t activities, int32_t recent_runs, int64_t ignored);
void sw_account_free(sw_account *account);
int sw_account_declare(sw_account *account, int32_t activity, int64_t worst_us); /* >= 0; counts from now on */

/* Now, in ns of CLOCK_MONOTONIC, or SW_E_ARGUMENT. A begin without an end is forgotten at the next begin. */
int64_t sw_account_begin(sw_account *account, int32_t activity);
/* The same; SW_E_ORDER when that activity is not the one that began last. */
int64_t sw_account_end(sw_account *account, int32_t activity);
/* It ends and is not accounted for; SW_E_ORDER as above. */
int sw_account_leave(sw_account *account, int32_t activity);
/* A run whose times are known otherwise. Negative times count as 0. */
int sw_account_note(sw_account *account, int32_t activity, int64_t wall_ns, int64_t cpu_ns);

int sw_account_read(const sw_account *account, int32_t activity, sw_activity *into);
int32_t sw_account_bin(int64_t ns);
int64_t sw_account_bin_from(int32_t bin); /* the shortest time in it, ns */

#endif
