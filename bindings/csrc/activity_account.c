/* What each activity takes: histograms, the worst ever and of late, runs above the declared worst case.
 *
 * The worst of late is exact: the last `recent_runs` times are kept, and the largest is looked for again only when
 * the one that leaves was it. */
#include "decl/activity_account.h"
#include "decl/codes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NONE (-1)
#define FIRST_OCTAVE 8 /* 256 ns */

struct sw_account {
    int32_t activities, recent_runs;
    int64_t ignored;
    int32_t running; /* began and did not end, or NONE */
    sw_spent began;
    sw_activity *of;
    sw_spent *recent; /* recent_runs of each activity, by run modulo recent_runs */
};

static int64_t read_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int32_t sw_account_bin(int64_t ns)
{
    if (ns < (int64_t)1 << FIRST_OCTAVE)
        return 0;
    int octave = 63 - __builtin_clzll((unsigned long long)ns);
    int64_t bin = 1 + (octave - FIRST_OCTAVE) * 4 + ((ns >> (octave - 2)) & 3);
    return bin < SW_ACCOUNT_BINS ? (int32_t)bin : SW_ACCOUNT_BINS - 1;
}

int64_t sw_account_bin_from(int32_t bin)
{
    if (bin <= 0)
        return 0;
    bin = bin < SW_ACCOUNT_BINS ? bin : SW_ACCOUNT_BINS - 1;
    return (int64_t)(4 + (bin - 1) % 4) << (FIRST_OCTAVE - 2 + (bin - 1) / 4);
}

sw_account *sw_account_new(int32_t activities, int32_t recent_runs, int64_t ignored)
{
    if (activities < 1 || activities > SW_ACCOUNT_MOST || recent_runs < 1 || recent_runs > SW_ACCOUNT_MOST_RECENT
        || ignored < 0)
        return NULL;
    sw_account *account = calloc(1, sizeof *account);
    if (account == NULL)
        return NULL;
    account->activities = activities, account->recent_runs = recent_runs, account->ignored = ignored;
    account->running = NONE;
    account->of = calloc((size_t)activities, sizeof *account->of);
    account->recent = calloc((size_t)activities * (size_t)recent_runs, sizeof *account->recent);
    if (account->of == NULL || account->recent == NULL) {
        sw_account_free(account);
        return NULL;
    }
    for (int32_t i = 0; i < activities; i++)
        account->of[i].declared_us = INT64_MAX; /* nothing is over what nobody declared */
    return account;
}

void sw_account_free(sw_account *account)
{
    if (account == NULL)
        return;
    free(account->of);
    free(account->recent);
    free(account);
}

static int is_known(const sw_account *account, int32_t activity)
{
    return activity >= 0 && activity < account->activities;
}

int sw_account_declare(sw_account *account, int32_t activity, int64_t worst_us)
{
    if (!is_known(account, activity) || worst_us < 0)
        return SW_E_ARGUMENT;
    account->of[activity].declared_us = worst_us;
    return SW_OK;
}

static void raise_to(sw_spent *worst, sw_spent spent)
{
    if (spent.wall_ns > worst->wall_ns)
        worst->wall_ns = spent.wall_ns;
    if (spent.cpu_ns > worst->cpu_ns)
        worst->cpu_ns = spent.cpu_ns;
}

static void note_recent(sw_account *account, int32_t activity, sw_spent spent)
{
    sw_activity *of = &account->of[activity];
    sw_spent *ring = account->recent + (size_t)activity * (size_t)account->recent_runs;
    sw_spent *place = &ring[of->runs % account->recent_runs];
    const sw_spent gone = *place;
    *place = spent;
    raise_to(&of->recent, spent);
    if (gone.wall_ns < of->recent.wall_ns && gone.cpu_ns < of->recent.cpu_ns)
        return;
    memset(&of->recent, 0, sizeof of->recent);
    for (int32_t i = 0; i < account->recent_runs; i++)
        raise_to(&of->recent, ring[i]);
}

static void note(sw_account *account, int32_t activity, sw_spent spent)
{
    sw_activity *of = &account->of[activity];
    note_recent(account, activity, spent);
    of->runs++;
    of->over += spent.wall_ns / 1000 > of->declared_us;
    of->last = spent;
    of->total.wall_ns += spent.wall_ns, of->total.cpu_ns += spent.cpu_ns;
    if (of->runs <= account->ignored)
        of->ignored++;
    else
        raise_to(&of->worst, spent);
    of->wall[sw_account_bin(spent.wall_ns)]++;
    of->cpu[sw_account_bin(spent.cpu_ns)]++;
}

int64_t sw_account_begin(sw_account *account, int32_t activity)
{
    if (!is_known(account, activity))
        return SW_E_ARGUMENT;
    account->running = activity;
    account->began.wall_ns = read_clock(CLOCK_MONOTONIC);
    account->began.cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
    return account->began.wall_ns;
}

int sw_account_leave(sw_account *account, int32_t activity)
{
    if (!is_known(account, activity))
        return SW_E_ARGUMENT;
    if (account->running != activity)
        return SW_E_ORDER;
    account->running = NONE;
    return SW_OK;
}

int64_t sw_account_end(sw_account *account, int32_t activity)
{
    const int64_t cpu = read_clock(CLOCK_THREAD_CPUTIME_ID), wall = read_clock(CLOCK_MONOTONIC);
    const int left = sw_account_leave(account, activity);
    if (left != SW_OK)
        return left;
    sw_account_note(account, activity, wall - account->began.wall_ns, cpu - account->began.cpu_ns);
    return wall;
}

int sw_account_note(sw_account *account, int32_t activity, int64_t wall_ns, int64_t cpu_ns)
{
    if (!is_known(account, activity))
        return SW_E_ARGUMENT;
    note(account, activity, (sw_spent){wall_ns > 0 ? wall_ns : 0, cpu_ns > 0 ? cpu_ns : 0});
    return SW_OK;
}

int sw_account_read(const sw_account *account, int32_t activity, sw_activity *into)
{
    if (!is_known(account, activity))
        return SW_E_ARGUMENT;
    *into = account->of[activity];
    return SW_OK;
}
