/* The bus: declared messages, pipes of bounded depth, routes from the ones to the others.
 *
 * One mutex with priority inheritance guards everything: a thread waits at most for one message to be copied into its
 * pipes (or one reading of the counters), at the priority of whoever waits. A publish is one step, so that all pipes
 * see the messages in one order and the account of every route holds in every reading. Batches take the lock for each
 * message, so that a long batch keeps nobody waiting.
 *
 * A waiting message is in two lists, its pipe's and its route's. Both are in order of arrival, so that the first of a
 * pipe is always the first of its route, and only the first of a route is ever taken out. */
#include "decl/bus.h"
#include "decl/codes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NONE (-1)
#define ALIGNMENT 8

typedef struct {
    int64_t sequence;
    int32_t route, length;
    int32_t before, after; /* in the pipe; `after` also links the free ones */
    int32_t next;          /* of the same route */
} slot;

typedef struct {
    int32_t depth, latest;
    int32_t first, last, unused; /* slots, or NONE */
    size_t stride;
    slot *slots;
    uint8_t *octets;
    sw_bus_pipe_count count;
} pipe_state;

typedef struct {
    int32_t message, pipe, limit; /* message: its index */
    int32_t first, last;          /* slots of the pipe, or NONE */
    sw_bus_route_count count;
} route_state;

typedef struct {
    int32_t id, max_octets;
    int32_t first, routes; /* where its routes begin in `by_message`, and how many */
    sw_bus_message_count count;
} message_state;

struct sw_bus {
    pthread_mutex_t mutex;
    int32_t message_count, pipe_count, route_count;
    int64_t unknown;
    int16_t index[SW_BUS_ID_MAX + 1]; /* of an id, or NONE */
    message_state *messages;
    pipe_state *pipes;
    route_state *routes;
    int32_t *by_message; /* routes, those of a message side by side, each in the order of the declaration */
};

static int is_sound(const sw_bus_message *messages, int32_t message_count, const sw_bus_pipe *pipes, int32_t pipe_count,
                    const sw_bus_route *routes, int32_t route_count)
{
    if (message_count < 0 || message_count > SW_BUS_PARTS_MAX || pipe_count < 0 || pipe_count > SW_BUS_PARTS_MAX
        || route_count < 0 || route_count > SW_BUS_PARTS_MAX)
        return 0;
    for (int32_t i = 0; i < message_count; i++)
        if (messages[i].id < 0 || messages[i].id > SW_BUS_ID_MAX || messages[i].max_octets < 0
            || messages[i].max_octets > SW_BUS_OCTETS_MAX)
            return 0;
    for (int32_t i = 0; i < pipe_count; i++)
        if (pipes[i].depth < 1 || pipes[i].depth > SW_BUS_DEPTH_MAX)
            return 0;
    for (int32_t i = 0; i < route_count; i++) {
        const sw_bus_route *r = &routes[i];
        if (r->message < 0 || r->message >= message_count || r->pipe < 0 || r->pipe >= pipe_count || r->limit < 0)
            return 0;
        for (int32_t j = 0; j < i; j++)
            if (routes[j].message == r->message && routes[j].pipe == r->pipe)
                return 0;
    }
    return 1;
}

static int declare_messages(sw_bus *bus, const sw_bus_message *messages)
{
    memset(bus->index, 0xFF, sizeof bus->index);
    for (int32_t i = 0; i < bus->message_count; i++) {
        if (bus->index[messages[i].id] != NONE)
            return 0;
        bus->index[messages[i].id] = (int16_t)i;
        bus->messages[i].id = messages[i].id;
        bus->messages[i].max_octets = messages[i].max_octets;
    }
    return 1;
}

static void declare_routes(sw_bus *bus, const sw_bus_pipe *pipes, const sw_bus_route *routes)
{
    for (int32_t i = 0; i < bus->route_count; i++) {
        const size_t needed = (size_t)bus->messages[routes[i].message].max_octets;
        const int32_t depth = pipes[routes[i].pipe].depth, limit = routes[i].limit;
        pipe_state *pipe = &bus->pipes[routes[i].pipe];
        if (needed > pipe->stride)
            pipe->stride = needed;
        bus->routes[i] = (route_state){.message = routes[i].message, .pipe = routes[i].pipe, .first = NONE, .last = NONE};
        bus->routes[i].limit = limit == 0 ? depth + 1 : limit; /* one more than can wait: never met */
        bus->messages[routes[i].message].routes++;
    }
    for (int32_t i = 1; i < bus->message_count; i++)
        bus->messages[i].first = bus->messages[i - 1].first + bus->messages[i - 1].routes;
    for (int32_t i = bus->message_count - 1; i >= 0; i--)
        bus->messages[i].routes = 0;
    for (int32_t i = 0; i < bus->route_count; i++) {
        message_state *message = &bus->messages[routes[i].message];
        bus->by_message[message->first + message->routes++] = i;
    }
}

/* The memory of every pipe, written to, so that no page is missing later. */
static int make_pipes(sw_bus *bus, const sw_bus_pipe *pipes)
{
    uint64_t total = 0;
    for (int32_t i = 0; i < bus->pipe_count; i++) {
        pipe_state *pipe = &bus->pipes[i];
        const size_t depth = (size_t)pipes[i].depth;
        pipe->depth = pipes[i].depth, pipe->latest = pipes[i].latest != 0;
        pipe->stride = (pipe->stride + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        total += (uint64_t)depth * (pipe->stride + sizeof *pipe->slots);
        if (total > SW_BUS_TOTAL_MAX)
            return 0;
        pipe->slots = calloc(depth, sizeof *pipe->slots);
        pipe->octets = malloc(depth * pipe->stride + 1);
        if (pipe->slots == NULL || pipe->octets == NULL)
            return 0;
        memset(pipe->octets, 0, depth * pipe->stride + 1);
        for (int32_t at = 0; at < pipe->depth; at++)
            pipe->slots[at].after = at + 1 < pipe->depth ? at + 1 : NONE;
        pipe->first = pipe->last = NONE;
        pipe->unused = 0;
    }
    return 1;
}

static void free_parts(sw_bus *bus)
{
    for (int32_t i = 0; bus->pipes != NULL && i < bus->pipe_count; i++) {
        free(bus->pipes[i].slots);
        free(bus->pipes[i].octets);
    }
    free(bus->messages);
    free(bus->pipes);
    free(bus->routes);
    free(bus->by_message);
    free(bus);
}

sw_bus *sw_bus_new(const sw_bus_message *messages, int32_t message_count, const sw_bus_pipe *pipes, int32_t pipe_count,
                   const sw_bus_route *routes, int32_t route_count)
{
    if (!is_sound(messages, message_count, pipes, pipe_count, routes, route_count))
        return NULL;
    sw_bus *bus = calloc(1, sizeof *bus);
    if (bus == NULL)
        return NULL;
    bus->message_count = message_count, bus->pipe_count = pipe_count, bus->route_count = route_count;
    bus->messages = calloc((size_t)message_count + 1, sizeof *bus->messages);
    bus->pipes = calloc((size_t)pipe_count + 1, sizeof *bus->pipes);
    bus->routes = calloc((size_t)route_count + 1, sizeof *bus->routes);
    bus->by_message = calloc((size_t)route_count + 1, sizeof *bus->by_message);
    int made = bus->messages != NULL && bus->pipes != NULL && bus->routes != NULL && bus->by_message != NULL
            && declare_messages(bus, messages);
    if (made) {
        declare_routes(bus, pipes, routes);
        made = make_pipes(bus, pipes);
    }
    if (!made) {
        free_parts(bus);
        return NULL;
    }
    pthread_mutexattr_t mutex;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setprotocol(&mutex, PTHREAD_PRIO_INHERIT); /* refused nowhere that matters; then plain */
    pthread_mutex_init(&bus->mutex, &mutex);
    pthread_mutexattr_destroy(&mutex);
    return bus;
}

void sw_bus_free(sw_bus *bus)
{
    if (bus == NULL)
        return;
    pthread_mutex_destroy(&bus->mutex);
    free_parts(bus);
}

/* Takes the first of its route out of the pipe; the slot is unused from then on. */
static void take_out(sw_bus *bus, pipe_state *pipe, int32_t at)
{
    slot *s = &pipe->slots[at];
    route_state *route = &bus->routes[s->route];
    *(s->before == NONE ? &pipe->first : &pipe->slots[s->before].after) = s->after;
    *(s->after == NONE ? &pipe->last : &pipe->slots[s->after].before) = s->before;
    route->first = s->next;
    if (s->next == NONE)
        route->last = NONE;
    s->after = pipe->unused;
    pipe->unused = at;
    pipe->count.waiting--;
    route->count.waiting--;
}

/* A slot for one more message of the route, or NONE: then it is dropped. Whatever is dropped is counted here. */
static int32_t make_room(sw_bus *bus, pipe_state *pipe, route_state *route)
{
    if (route->count.waiting >= route->limit) {
        route->count.dropped_limit++;
        if (!pipe->latest)
            return NONE;
        take_out(bus, pipe, route->first);
    } else if (pipe->unused == NONE) {
        route_state *loser = pipe->latest ? &bus->routes[pipe->slots[pipe->first].route] : route;
        loser->count.dropped_full++;
        if (!pipe->latest)
            return NONE;
        take_out(bus, pipe, pipe->first);
    }
    const int32_t at = pipe->unused;
    pipe->unused = pipe->slots[at].after;
    return at;
}

static int put(sw_bus *bus, int32_t number, int64_t sequence, const uint8_t *octets, size_t length)
{
    route_state *route = &bus->routes[number];
    pipe_state *pipe = &bus->pipes[route->pipe];
    const int32_t at = make_room(bus, pipe, route);
    if (at == NONE)
        return 0;
    pipe->slots[at] = (slot){sequence, number, (int32_t)length, pipe->last, NONE, NONE};
    if (length > 0)
        memcpy(pipe->octets + (size_t)at * pipe->stride, octets, length);
    *(pipe->last == NONE ? &pipe->first : &pipe->slots[pipe->last].after) = at;
    *(route->last == NONE ? &route->first : &pipe->slots[route->last].next) = at;
    pipe->last = route->last = at;
    route->count.waiting++;
    if (++pipe->count.waiting > pipe->count.waiting_max)
        pipe->count.waiting_max = pipe->count.waiting;
    return 1;
}

int sw_bus_publish(sw_bus *bus, int32_t id, const uint8_t *octets, size_t length)
{
    const int32_t index = id < 0 || id > SW_BUS_ID_MAX ? NONE : bus->index[id];
    int result = 0;
    pthread_mutex_lock(&bus->mutex);
    if (index == NONE) {
        bus->unknown++;
        result = SW_E_ARGUMENT;
    } else if (length > (size_t)bus->messages[index].max_octets) {
        bus->messages[index].count.refused++;
        result = SW_E_SPACE;
    } else {
        message_state *message = &bus->messages[index];
        const int64_t sequence = message->count.published++;
        message->count.unrouted += message->routes == 0;
        for (int32_t i = 0; i < message->routes; i++)
            result += put(bus, bus->by_message[message->first + i], sequence, octets, length);
    }
    pthread_mutex_unlock(&bus->mutex);
    return result;
}

int64_t sw_bus_publish_batch(sw_bus *bus, const sw_bus_record *records, int64_t count, const uint8_t *octets,
                             size_t size)
{
    for (int64_t i = 0; i < count; i++) {
        const sw_bus_record *r = &records[i];
        if (r->length < 0 || r->offset < 0 || (uint64_t)r->offset > size
            || (size_t)r->length > size - (size_t)r->offset)
            return SW_E_ARGUMENT;
    }
    int64_t published = 0;
    for (int64_t i = 0; i < count; i++)
        published += sw_bus_publish(bus, records[i].message, octets + records[i].offset, (size_t)records[i].length) >= 0;
    return published;
}

int64_t sw_bus_publish_rows(sw_bus *bus, int32_t id, const uint8_t *octets, size_t length, int64_t count)
{
    int64_t took = 0;
    for (int64_t i = 0; i < count; i++) {
        const int result = sw_bus_publish(bus, id, octets + (size_t)i * length, length);
        if (result < 0)
            return result; /* as all would be */
        took += result;
    }
    return took;
}

int sw_bus_receive(sw_bus *bus, int32_t number, sw_bus_record *record, uint8_t *octets, size_t capacity)
{
    if (number < 0 || number >= bus->pipe_count)
        return SW_E_ARGUMENT;
    pipe_state *pipe = &bus->pipes[number];
    int result = 0;
    pthread_mutex_lock(&bus->mutex);
    const int32_t at = pipe->first;
    if (at != NONE) {
        const slot *s = &pipe->slots[at];
        route_state *route = &bus->routes[s->route];
        *record = (sw_bus_record){bus->messages[route->message].id, s->length, 0, s->sequence};
        if ((size_t)s->length > capacity)
            result = SW_E_SPACE;
        else {
            if (s->length > 0)
                memcpy(octets, pipe->octets + (size_t)at * pipe->stride, (size_t)s->length);
            route->count.delivered++;
            take_out(bus, pipe, at);
            result = 1;
        }
    }
    pthread_mutex_unlock(&bus->mutex);
    return result;
}

int sw_bus_read(sw_bus_reader *reader)
{
    return sw_bus_receive(reader->bus, reader->pipe, &reader->record, reader->octets, (size_t)reader->capacity);
}

int64_t sw_bus_receive_batch(sw_bus *bus, int32_t pipe, sw_bus_record *records, int64_t count, uint8_t *octets,
                             size_t capacity)
{
    size_t used = 0;
    for (int64_t i = 0; i < count; i++) {
        sw_bus_record next;
        const int taken = sw_bus_receive(bus, pipe, &next, octets + used, capacity - used);
        if (taken < 0 && taken != SW_E_SPACE)
            return taken;
        if (taken == SW_E_SPACE && i == 0)
            records[0] = next;
        if (taken != 1)
            return i > 0 ? i : taken;
        next.offset = (int64_t)used;
        records[i] = next;
        used += (size_t)next.length;
    }
    return count > 0 ? count : 0;
}

int64_t sw_bus_counters(sw_bus *bus, sw_bus_message_count *messages, sw_bus_pipe_count *pipes,
                        sw_bus_route_count *routes)
{
    pthread_mutex_lock(&bus->mutex);
    for (int32_t i = 0; i < bus->message_count; i++)
        messages[i] = bus->messages[i].count;
    for (int32_t i = 0; i < bus->pipe_count; i++)
        pipes[i] = bus->pipes[i].count;
    for (int32_t i = 0; i < bus->route_count; i++)
        routes[i] = bus->routes[i].count;
    const int64_t unknown = bus->unknown;
    pthread_mutex_unlock(&bus->mutex);
    return unknown;
}
