/* The bus at its edges and under threads, in buffers of exactly the size that is promised. Part of test_core. */
#include "decl/bus.h"
#include "decl/codes.h"
#include "drive.h"

#include <pthread.h>
#include <stdatomic.h>

enum { PRODUCERS = 3, PIPES = 2, EACH = 4000, LONGEST = 24 };

static const sw_bus_message kinds[PRODUCERS] = {{5, LONGEST}, {9, LONGEST}, {65535, LONGEST}};
static const sw_bus_pipe queues[PIPES] = {{4, 0}, {4, 1}};
static const sw_bus_route ways[] = {{0, 0, 0}, {1, 0, 2}, {2, 0, 0}, {0, 1, 0}, {1, 1, 2}, {2, 1, 1}};
enum { ROUTES = sizeof ways / sizeof ways[0] };

static atomic_int producing;
static int64_t taken[PIPES][PRODUCERS];

typedef struct {
    sw_bus *bus;
    int32_t number;
} job;

static void require_account(sw_bus *bus)
{
    sw_bus_message_count messages[PRODUCERS];
    sw_bus_pipe_count pipes[PIPES];
    sw_bus_route_count routes[ROUTES];
    int64_t waiting[PIPES] = {0};
    REQUIRE(sw_bus_counters(bus, messages, pipes, routes) == 0);
    for (int i = 0; i < ROUTES; i++) {
        const sw_bus_route_count *r = &routes[i];
        REQUIRE(messages[ways[i].message].published == r->delivered + r->dropped_full + r->dropped_limit + r->waiting);
        waiting[ways[i].pipe] += r->waiting;
    }
    for (int i = 0; i < PIPES; i++)
        REQUIRE(waiting[i] == pipes[i].waiting && pipes[i].waiting <= pipes[i].waiting_max && waiting[i] <= 4);
}

static void *produce(void *argument)
{
    const job *mine = argument;
    uint8_t *own = octets(LONGEST);
    for (int i = 0; i < EACH; i++) {
        const size_t length = (size_t)(i % (LONGEST + 1));
        memset(own, i & 0xFF, length);
        REQUIRE(sw_bus_publish(mine->bus, kinds[mine->number].id, own, length) >= 0);
    }
    free(own);
    return NULL;
}

static void *consume(void *argument)
{
    const job *mine = argument;
    uint8_t *own = octets(3 * LONGEST);
    sw_bus_record *records = octets(3 * sizeof *records);
    int64_t last[PRODUCERS] = {-1, -1, -1};
    for (int more = 1; more;) {
        more = atomic_load(&producing);
        const int64_t count = sw_bus_receive_batch(mine->bus, mine->number, records, 3, own, 3 * LONGEST);
        REQUIRE(count >= 0 && count <= 3);
        for (int64_t i = 0; i < count; i++) {
            const sw_bus_record *r = &records[i];
            const int kind = r->message == 5 ? 0 : r->message == 9 ? 1 : 2;
            REQUIRE(r->sequence > last[kind] && r->length == r->sequence % (LONGEST + 1));
            last[kind] = r->sequence;
            for (int32_t at = 0; at < r->length; at++)
                REQUIRE(own[r->offset + at] == (r->sequence & 0xFF));
            taken[mine->number][kind]++;
        }
        more |= count > 0;
    }
    free(records);
    free(own);
    return NULL;
}

static void *audit(void *bus)
{
    while (atomic_load(&producing))
        require_account(bus);
    return NULL;
}

static void race(void)
{
    sw_bus *bus = sw_bus_new(kinds, PRODUCERS, queues, PIPES, ways, ROUTES);
    pthread_t makers[PRODUCERS], takers[PIPES], auditor;
    job jobs[PRODUCERS];
    REQUIRE(bus != NULL);
    atomic_store(&producing, 1);
    for (int i = 0; i < PRODUCERS; i++) {
        jobs[i] = (job){bus, i};
        REQUIRE(pthread_create(&makers[i], NULL, produce, &jobs[i]) == 0);
    }
    for (int i = 0; i < PIPES; i++)
        REQUIRE(pthread_create(&takers[i], NULL, consume, &jobs[i]) == 0);
    REQUIRE(pthread_create(&auditor, NULL, audit, bus) == 0);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(makers[i], NULL);
    atomic_store(&producing, 0);
    for (int i = 0; i < PIPES; i++)
        pthread_join(takers[i], NULL);
    pthread_join(auditor, NULL);
    require_account(bus);
    sw_bus_message_count messages[PRODUCERS];
    sw_bus_pipe_count pipes[PIPES];
    sw_bus_route_count routes[ROUTES];
    sw_bus_counters(bus, messages, pipes, routes);
    for (int i = 0; i < ROUTES; i++)
        REQUIRE(routes[i].waiting == 0 && routes[i].delivered == taken[ways[i].pipe][ways[i].message]);
    sw_bus_free(bus);
}

static void edges(void)
{
    sw_bus *bus = sw_bus_new(kinds, PRODUCERS, queues, PIPES, ways, ROUTES);
    uint8_t *exact = octets(LONGEST);
    sw_bus_record record, two[2] = {{5, 20, 0, 0}, {9, 4, 20, 0}};
    REQUIRE(bus != NULL);
    REQUIRE(sw_bus_receive(bus, 0, &record, exact, LONGEST) == 0);
    REQUIRE(sw_bus_receive(bus, 2, &record, exact, LONGEST) == SW_E_ARGUMENT);
    REQUIRE(sw_bus_receive(bus, -1, &record, exact, LONGEST) == SW_E_ARGUMENT);
    REQUIRE(sw_bus_publish(bus, 5, exact, LONGEST) == 2);
    REQUIRE(sw_bus_publish(bus, 5, exact, LONGEST + 1) == SW_E_SPACE);
    REQUIRE(sw_bus_publish(bus, 6, exact, 1) == SW_E_ARGUMENT && sw_bus_publish(bus, -1, exact, 1) == SW_E_ARGUMENT);
    REQUIRE(sw_bus_publish(bus, 65536, exact, 1) == SW_E_ARGUMENT);
    REQUIRE(sw_bus_publish(bus, 9, NULL, 0) == 2);
    REQUIRE(sw_bus_receive(bus, 0, &record, exact, LONGEST - 1) == SW_E_SPACE && record.length == LONGEST);
    REQUIRE(sw_bus_receive_batch(bus, 0, &record, 1, exact, LONGEST - 1) == SW_E_SPACE && record.length == LONGEST);
    REQUIRE(sw_bus_receive_batch(bus, 0, two, 0, exact, LONGEST) == 0);
    REQUIRE(sw_bus_receive_batch(bus, 0, two, 2, exact, LONGEST) == 2 && two[1].length == 0 && two[1].message == 9);
    two[0] = (sw_bus_record){5, 20, 0, 0}, two[1] = (sw_bus_record){9, 4, 20, 0};
    REQUIRE(sw_bus_publish_batch(bus, two, 2, exact, LONGEST) == 2);
    REQUIRE(sw_bus_publish_rows(bus, 65535, exact, 6, 4) == 2 + 4); /* two were waiting in a pipe of four */
    two[1].length = 5;
    REQUIRE(sw_bus_publish_batch(bus, two, 2, exact, LONGEST) == SW_E_ARGUMENT);
    two[1].offset = -1;
    REQUIRE(sw_bus_publish_batch(bus, two, 2, exact, LONGEST) == SW_E_ARGUMENT);
    two[1].offset = INT64_MAX, two[1].length = INT32_MAX;
    REQUIRE(sw_bus_publish_batch(bus, two, 2, exact, LONGEST) == SW_E_ARGUMENT);
    sw_bus_free(bus);
    sw_bus_free(NULL);
    free(exact);
}

static void refused_declarations(void)
{
    const sw_bus_message twice[2] = {{5, 1}, {5, 1}}, big = {1, SW_BUS_OCTETS_MAX}, wrong = {65536, 1};
    const sw_bus_pipe deep = {SW_BUS_DEPTH_MAX, 0}, none = {0, 0};
    const sw_bus_route way = {0, 0, 0}, pair[2] = {{0, 0, 0}, {0, 0, 1}}, astray = {0, 1, 0}, negative = {0, 0, -1};
    REQUIRE(sw_bus_new(twice, 2, NULL, 0, NULL, 0) == NULL);
    REQUIRE(sw_bus_new(&wrong, 1, NULL, 0, NULL, 0) == NULL);
    REQUIRE(sw_bus_new(NULL, 0, &none, 1, NULL, 0) == NULL);
    REQUIRE(sw_bus_new(&big, 1, &deep, 1, &way, 1) == NULL);
    REQUIRE(sw_bus_new(kinds, 1, queues, 1, pair, 2) == NULL);
    REQUIRE(sw_bus_new(kinds, 1, queues, 1, &astray, 1) == NULL);
    REQUIRE(sw_bus_new(kinds, 1, queues, 1, &negative, 1) == NULL);
    REQUIRE(sw_bus_new(kinds, -1, NULL, 0, NULL, 0) == NULL);
    sw_bus *empty = sw_bus_new(NULL, 0, NULL, 0, NULL, 0);
    REQUIRE(empty != NULL && sw_bus_publish(empty, 0, NULL, 0) == SW_E_ARGUMENT);
    REQUIRE(sw_bus_counters(empty, NULL, NULL, NULL) == 1);
    sw_bus_free(empty);
}

void drive_bus(void)
{
    refused_declarations();
    edges();
    race();
}
