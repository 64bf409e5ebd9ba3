#ifndef SWATH_DECL_BUS_RING_H
#define SWATH_DECL_BUS_RING_H

#include <stddef.h>
#include <stdint.h>

#define SW_RING_HEADER 256        /* octets before the records */
#define SW_RING_RECORD 32         /* octets before the payload of a record */
#define SW_RING_ROOM_MIN 256      /* octets for records: a power of two from here */
#define SW_RING_ROOM_MAX 67108864 /* to here */
#define SW_RING_ALIGNMENT 64      /* of the memory */
#define SW_RING_CHECKED 1         /* flag: each payload has a CRC-32C */

/* Messages from one process to another through memory that both map: one writer, one reader, neither waits for the
 * other (docs/bus.md has the layout). Whatever the other side does to the memory at any time, an end reads and writes
 * within it only, ends every call, and counts what it finds wrong. An end is for one thread at a time. */
typedef struct {
    uint8_t *memory; /* SW_RING_HEADER + room octets */
    uint64_t room;
    uint64_t position; /* octets ever written or read: ours, never taken from the memory again */
    uint64_t peer;     /* the other side's, as last believed */
    uint64_t next;     /* sequence number: writer: of the next record; reader: that is expected */
    uint32_t incarnation, max_octets;
    int32_t is_writer, is_checked, expects; /* expects: whether `next` of a reader says anything */
    int64_t written, dropped, refused;      /* writer: dropped for want of room; refused as too long */
    int64_t read, lost, restarts;           /* reader: lost: numbers never seen; restarts of the writer */
    int64_t damaged;        /* reader: calls that found something that is no record of a writer */
    int64_t resynchronised; /* reader: of those, jumps to the writer's position */
    int64_t impossible;     /* positions of the other side that cannot be */
} sw_ring_end;

typedef struct {
    uint16_t topic, source;
    int32_t length;
    int64_t offset; /* of its first octet */
    int64_t sequence;
} sw_ring_record;

/* Make an empty ring in zeroed memory. SW_E_ARGUMENT: memory of another size or place, or max_octets that do not fit. */
int sw_ring_format(uint8_t *memory, size_t size, uint32_t max_octets, int32_t is_checked);

/* Fill in an end and go on where the last one of its kind stopped. SW_E_ARGUMENT: as above; SW_E_DAMAGED: no ring. */
int sw_ring_attach(sw_ring_end *end, uint8_t *memory, size_t size, int32_t is_writer);

/* 1: written, 0: no room, dropped and counted, SW_E_SPACE: too long; SW_E_ARGUMENT: an end for reading. */
int sw_ring_write(sw_ring_end *end, uint16_t topic, uint16_t source, const uint8_t *octets, size_t length);
/* Records of a bus batch, in order; how many were written. The others were dropped or refused, and are counted.
 * SW_E_ARGUMENT, and none is written, where a record lies outside the `size` octets or an id is no topic. */
int64_t sw_ring_write_batch(sw_ring_end *end, uint16_t source, const sw_bus_record *records, int64_t count,
                            const uint8_t *octets, size_t size);

/* Takes the oldest records, at most `count`, one behind the other into `octets`. Returns how many; or, before the first,
 * SW_E_SPACE where it does not fit (records[0].length is what it needs; it stays), SW_E_DAMAGED where there is none of a
 * writer (it is skipped, or all up to the writer's position, and counted), SW_E_ARGUMENT. count >= 1. */
int64_t sw_ring_read(sw_ring_end *end, sw_ring_record *records, int64_t count, uint8_t *octets, size_t capacity);

/* Reader: ask to be woken. 1: do not wait, something is there already. */
int sw_ring_arm(sw_ring_end *end);
/* Writer, after writing: 1: the reader asked to be woken, and is asked for no more. */
int sw_ring_wakes(sw_ring_end *end);

#endif
