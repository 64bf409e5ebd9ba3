#ifndef SWATH_DECL_BUS_H
#define SWATH_DECL_BUS_H

#include <stddef.h>
#include <stdint.h>

#define SW_BUS_ID_MAX 65535
#define SW_BUS_OCTETS_MAX 65535    /* of one message: what bounds the time for which the lock is held */
#define SW_BUS_DEPTH_MAX 65536     /* of one pipe, in messages */
#define SW_BUS_PARTS_MAX 4096      /* messages, pipes, routes: of each at most so many */
#define SW_BUS_TOTAL_MAX 268435456 /* octets that all pipes hold */

/* Messages go by their declared id to every pipe that is subscribed to it. All is declared when the bus is made;
 * nothing is allocated after that, nothing blocks but for the short lock, and what finds no room is dropped and
 * counted. Several threads may publish and several receive. Not for a forked child. */
typedef struct sw_bus sw_bus;

typedef struct {
    int32_t id, max_octets; /* 0..SW_BUS_ID_MAX, each once; 0..SW_BUS_OCTETS_MAX */
} sw_bus_message;

typedef struct {
    int32_t depth, latest; /* messages; latest: the oldest is dropped for a new one, else the new one */
} sw_bus_pipe;

typedef struct {
    int32_t message, pipe; /* indices in the two lists; a pair once */
    int32_t limit;         /* messages of this id that may wait in this pipe; 0: as many as fit */
} sw_bus_route;

/* One message in a batch. */
typedef struct {
    int32_t message; /* id */
    int32_t length;
    int64_t offset;   /* of its first octet */
    int64_t sequence; /* of this id, from 0: what is missing between two was dropped; not read when published */
} sw_bus_record;

typedef struct {
    int64_t published, unrouted; /* unrouted: of those, with no subscriber */
    int64_t refused;             /* longer than declared; not published */
} sw_bus_message_count;

typedef struct {
    int64_t waiting, waiting_max;
} sw_bus_pipe_count;

/* published of its message = delivered + dropped_full + dropped_limit + waiting, in every reading */
typedef struct {
    int64_t delivered, dropped_full, dropped_limit, waiting;
} sw_bus_route_count;

/* A reader's end: what sw_bus_receive would be given each time. */
typedef struct {
    sw_bus *bus;
    uint8_t *octets;
    int64_t capacity;
    int32_t pipe;
    sw_bus_record record;
} sw_bus_reader;

/* NULL: no memory, or a declaration out of its ranges. */
sw_bus *sw_bus_new(const sw_bus_message *messages, int32_t message_count, const sw_bus_pipe *pipes, int32_t pipe_count,
                   const sw_bus_route *routes, int32_t route_count);
void sw_bus_free(sw_bus *bus);

/* Returns the number of pipes that took the message, SW_E_ARGUMENT for an id not declared, SW_E_SPACE for too long. */
int sw_bus_publish(sw_bus *bus, int32_t message, const uint8_t *octets, size_t length);
/* Returns how many records were published; the others were refused, and counted. SW_E_ARGUMENT, and nothing is
 * published, where a record lies outside the `size` octets. */
int64_t sw_bus_publish_batch(sw_bus *bus, const sw_bus_record *records, int64_t count, const uint8_t *octets,
                             size_t size);
/* Messages of one id and one length, side by side. Returns how many pipes took one, in sum; otherwise as sw_bus_publish,
 * the first one being refused. */
int64_t sw_bus_publish_rows(sw_bus *bus, int32_t message, const uint8_t *octets, size_t length, int64_t count);

/* Takes the oldest message of a pipe. 1: taken; 0: none is there; SW_E_SPACE: it does not fit into `capacity`, stays,
 * and record->length says what it needs. record->offset is 0. */
int sw_bus_receive(sw_bus *bus, int32_t pipe, sw_bus_record *record, uint8_t *octets, size_t capacity);
int sw_bus_read(sw_bus_reader *reader); /* the same, for the fewest arguments a call from Python can have */
/* Takes as many as are there and fit, one behind the other. Returns how many, or SW_E_SPACE where not even one fits:
 * records[0].length says what it needs. */
int64_t sw_bus_receive_batch(sw_bus *bus, int32_t pipe, sw_bus_record *records, int64_t count, uint8_t *octets,
                             size_t capacity);

/* All counters of one instant, in the order of the declaration. Returns publishes of ids that are not declared. */
int64_t sw_bus_counters(sw_bus *bus, sw_bus_message_count *messages, sw_bus_pipe_count *pipes,
                        sw_bus_route_count *routes);

#endif
