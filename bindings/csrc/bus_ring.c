/* The ring between two processes: a writer's and a reader's position, and records between them.
 *
 * Nothing that stands in the shared memory is believed. Each end keeps its own position itself and only tells it; the
 * other's is copied once, then checked against its own: it must be a multiple of 8 and at most one room away. Each head
 * of a record is copied once and judged by the copy, and so is each payload, in the reader's own buffer. So the offsets
 * that are used come from checked copies alone, whatever is written meanwhile.
 *
 * An end that finds the other's position impossible tells its own again, and the reader moves to the writer's: so that
 * records flow again soon after the damage ends. */
#include "decl/bus.h"
#include "decl/bus_ring.h"
#include "decl/codes.h"
#include "decl/crc.h"

#include <stdatomic.h>
#include <string.h>

#define STEP 8 /* records begin at multiples of it */
#define LAYOUT 1
#define AT_INCARNATION 40
#define AT_WRITTEN 64
#define AT_SEQUENCE 72
#define AT_READ 128
#define AT_EXPECTED 136
#define AT_WAITING 192

static const char magic[8] = {'S', 'W', 'R', 'I', 'N', 'G', '\r', '\n'};

typedef struct {
    char magic[8];
    uint32_t layout, header; /* header: its octets */
    uint64_t room;
    uint32_t max_octets, flags;
    uint32_t crc; /* of the 32 octets before it */
} description;

typedef struct {
    uint64_t sequence;
    uint32_t length;
    uint16_t topic, source;
    uint32_t incarnation, payload_crc;
    uint32_t crc, reserved; /* crc: of the 24 octets before it */
} head;

_Static_assert(sizeof(head) == SW_RING_RECORD, "a record's head has no gaps");
_Static_assert(offsetof(description, crc) == 32, "nor has the description");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes share positions without a lock");

static _Atomic uint64_t *word(const sw_ring_end *end, size_t at)
{
    return (_Atomic uint64_t *)(void *)(end->memory + at);
}

static void tell(const sw_ring_end *end)
{
    atomic_store_explicit(word(end, end->is_writer ? AT_WRITTEN : AT_READ), end->position, memory_order_release);
}

static uint64_t ask(const sw_ring_end *end)
{
    return atomic_load_explicit(word(end, end->is_writer ? AT_READ : AT_WRITTEN), memory_order_acquire);
}

static void tell_next(const sw_ring_end *end)
{
    atomic_store_explicit(word(end, end->is_writer ? AT_SEQUENCE : AT_EXPECTED), end->next, memory_order_relaxed);
}

static uint64_t used_by(uint64_t length)
{
    return SW_RING_RECORD + (length + STEP - 1) / STEP * STEP;
}

/* `count` is at most the room. */
static void copy_in(const sw_ring_end *end, uint64_t position, const void *from, uint64_t count)
{
    uint8_t *records = end->memory + SW_RING_HEADER;
    const uint64_t at = position & (end->room - 1), first = count < end->room - at ? count : end->room - at;
    if (first > 0)
        memcpy(records + at, from, first);
    if (count > first)
        memcpy(records, (const uint8_t *)from + first, count - first);
}

static void copy_out(const sw_ring_end *end, uint64_t position, void *to, uint64_t count)
{
    const uint8_t *records = end->memory + SW_RING_HEADER;
    const uint64_t at = position & (end->room - 1), first = count < end->room - at ? count : end->room - at;
    if (first > 0)
        memcpy(to, records + at, first);
    if (count > first)
        memcpy((uint8_t *)to + first, records, count - first);
    atomic_signal_fence(memory_order_seq_cst); /* what was copied is what is judged: never fetched again */
}

static uint32_t crc_of(const head *h)
{
    return sw_crc32c((const uint8_t *)h, offsetof(head, crc), 0);
}

static int fits(const uint8_t *memory, size_t size, uint64_t max_octets)
{
    const uint64_t room = (uint64_t)size - SW_RING_HEADER;
    return size >= SW_RING_HEADER + SW_RING_ROOM_MIN && room <= SW_RING_ROOM_MAX && (room & (room - 1)) == 0
        && (uintptr_t)memory % SW_RING_ALIGNMENT == 0 && max_octets <= SW_BUS_OCTETS_MAX && used_by(max_octets) <= room;
}

int sw_ring_format(uint8_t *memory, size_t size, uint32_t max_octets, int32_t is_checked)
{
    if (!fits(memory, size, max_octets))
        return SW_E_ARGUMENT;
    description d = {.layout = LAYOUT, .header = SW_RING_HEADER, .room = size - SW_RING_HEADER};
    memcpy(d.magic, magic, sizeof magic);
    d.max_octets = max_octets, d.flags = is_checked ? SW_RING_CHECKED : 0;
    d.crc = sw_crc32c((const uint8_t *)&d, offsetof(description, crc), 0);
    memcpy(memory, &d, offsetof(description, crc) + sizeof d.crc);
    return SW_OK;
}

int sw_ring_attach(sw_ring_end *end, uint8_t *memory, size_t size, int32_t is_writer)
{
    description d = {0};
    if (!fits(memory, size, 0))
        return SW_E_ARGUMENT;
    memcpy(&d, memory, offsetof(description, crc) + sizeof d.crc);
    atomic_signal_fence(memory_order_seq_cst);
    if (memcmp(d.magic, magic, sizeof magic) != 0 || d.layout != LAYOUT || d.header != SW_RING_HEADER
        || d.room != size - SW_RING_HEADER || !fits(memory, size, d.max_octets) || (d.flags & ~SW_RING_CHECKED) != 0
        || d.crc != sw_crc32c((const uint8_t *)&d, offsetof(description, crc), 0))
        return SW_E_DAMAGED;
    memset(end, 0, sizeof *end);
    end->memory = memory, end->room = d.room, end->max_octets = d.max_octets;
    end->is_writer = is_writer != 0, end->is_checked = (d.flags & SW_RING_CHECKED) != 0;
    const uint64_t own = atomic_load(word(end, is_writer ? AT_WRITTEN : AT_READ)), peer = ask(end);
    const uint64_t apart = is_writer ? own - peer : peer - own;
    const int possible = own % STEP == 0 && peer % STEP == 0 && apart <= end->room;
    end->impossible = !possible;
    end->peer = peer & ~(uint64_t)(STEP - 1);
    end->position = possible ? own : end->peer;
    end->next = atomic_load(word(end, is_writer ? AT_SEQUENCE : AT_EXPECTED));
    if (is_writer) {
        end->incarnation = (uint32_t)atomic_fetch_add(word(end, AT_INCARNATION), 1) + 1;
        if (end->next > (uint64_t)INT64_MAX)
            end->next = 0; /* nonsense; the reader finds out and goes on with it */
    } else
        end->expects = possible;
    tell(end);
    return SW_OK;
}

static int is_believed(sw_ring_end *end, uint64_t peer)
{
    const uint64_t apart = end->is_writer ? end->position - peer : peer - end->position;
    if (peer % STEP == 0 && apart <= end->room) {
        end->peer = peer;
        return 1;
    }
    end->impossible++;
    return 0;
}

int sw_ring_write(sw_ring_end *end, uint16_t topic, uint16_t source, const uint8_t *octets, size_t length)
{
    if (!end->is_writer)
        return SW_E_ARGUMENT;
    if (length > end->max_octets) {
        end->refused++;
        return SW_E_SPACE;
    }
    const uint64_t needed = used_by(length);
    head h = {.length = (uint32_t)length, .topic = topic, .source = source, .sequence = end->next++};
    h.incarnation = end->incarnation;
    tell_next(end); /* before the record: killed in between, the number is missing and so counted, never used twice */
    if (!is_believed(end, ask(end)) || needed > end->room - (end->position - end->peer)) {
        end->dropped++; /* where the reader is nobody knows, or it is too far behind: nothing may be written over */
        tell(end);      /* were ours lost in the memory, the reader would wait for ever */
        return 0;
    }
    h.payload_crc = end->is_checked ? sw_crc32c(octets, length, 0) : 0;
    h.crc = crc_of(&h);
    copy_in(end, end->position, &h, sizeof h);
    copy_in(end, end->position + sizeof h, octets, length);
    end->position += needed;
    tell(end);
    end->written++;
    return 1;
}

int64_t sw_ring_write_batch(sw_ring_end *end, uint16_t source, const sw_bus_record *records, int64_t count,
                            const uint8_t *octets, size_t size)
{
    for (int64_t i = 0; i < count; i++) {
        const sw_bus_record *r = &records[i];
        if (!end->is_writer || r->length < 0 || r->offset < 0 || (uint64_t)r->offset > size
            || (size_t)r->length > size - (size_t)r->offset || r->message < 0 || r->message > SW_BUS_ID_MAX)
            return SW_E_ARGUMENT;
    }
    int64_t written = 0;
    for (int64_t i = 0; i < count; i++)
        written += sw_ring_write(end, (uint16_t)records[i].message, source, octets + records[i].offset,
                                 (size_t)records[i].length) == 1;
    return written;
}

/* Nothing that is between here and there is a record. */
static int64_t jump(sw_ring_end *end, uint64_t to)
{
    end->position = end->peer = to;
    end->damaged++;
    end->resynchronised++;
    return SW_E_DAMAGED;
}

static void count_lost(sw_ring_end *end, uint64_t sequence)
{
    const uint64_t missing = end->expects ? sequence - end->next : 0;
    const uint64_t most = (uint64_t)INT64_MAX - (uint64_t)end->lost; /* a liar's number must not overflow ours */
    end->lost += (int64_t)(missing < most ? missing : most);
}

/* The oldest record into `octets`. 1, SW_E_SPACE or SW_E_DAMAGED; at least a head waits. */
static int64_t take(sw_ring_end *end, sw_ring_record *record, uint8_t *octets, size_t capacity)
{
    const uint64_t waiting = end->peer - end->position;
    head h;
    if (waiting < sizeof h)
        return jump(end, end->peer);
    copy_out(end, end->position, &h, sizeof h);
    if (h.crc != crc_of(&h) || h.length > end->max_octets || used_by(h.length) > waiting
        || h.sequence >= (uint64_t)INT64_MAX)
        return jump(end, end->peer);
    if (end->expects && h.sequence < end->next) { /* there before, or of a writer that lost its count: begin anew */
        end->expects = 0;
        return jump(end, end->peer);
    }
    *record = (sw_ring_record){h.topic, h.source, (int32_t)h.length, 0, (int64_t)h.sequence};
    if (h.length > capacity)
        return SW_E_SPACE;
    copy_out(end, end->position + sizeof h, octets, h.length);
    end->position += used_by(h.length);
    if (end->is_checked && h.payload_crc != sw_crc32c(octets, h.length, 0)) {
        end->damaged++; /* this one alone: the head says where the next begins. Its number is missing from now on */
        return SW_E_DAMAGED;
    }
    count_lost(end, h.sequence);
    end->restarts += end->incarnation != 0 && h.incarnation != end->incarnation;
    end->incarnation = h.incarnation, end->next = h.sequence + 1, end->expects = 1;
    end->read++;
    return 1;
}

int64_t sw_ring_read(sw_ring_end *end, sw_ring_record *records, int64_t count, uint8_t *octets, size_t capacity)
{
    if (end->is_writer || count < 1)
        return SW_E_ARGUMENT;
    int64_t taken = 0, result = 1;
    size_t filled = 0;
    const uint64_t peer = ask(end); /* once: a writer that goes on keeps no reader busy for ever */
    if (!is_believed(end, peer))
        result = jump(end, peer & ~(uint64_t)(STEP - 1));
    while (result == 1 && taken < count && end->position != end->peer) {
        const sw_ring_end before = *end;
        result = take(end, &records[taken], octets + filled, capacity - filled);
        if (result == 1) {
            records[taken].offset = (int64_t)filled;
            filled += (size_t)records[taken++].length;
        } else if (taken > 0)
            *end = before; /* the next call meets it first */
    }
    /* A told position that is not ours was lost in the memory: the writer would find no room for ever. */
    if (atomic_load_explicit(word(end, AT_READ), memory_order_relaxed) != end->position)
        tell(end);
    if (taken > 0)
        tell_next(end); /* after the position: killed in between, what had been taken counts as lost, which it is */
    return taken > 0 ? taken : result == 1 ? 0 : result;
}

int sw_ring_arm(sw_ring_end *end)
{
    if (end->is_writer)
        return SW_E_ARGUMENT;
    atomic_store(word(end, AT_WAITING), 1); /* in one order with the writer's store and load: one sees the other's */
    return atomic_load(word(end, AT_WRITTEN)) != end->position;
}

int sw_ring_wakes(sw_ring_end *end)
{
    if (!end->is_writer)
        return SW_E_ARGUMENT;
    atomic_store(word(end, AT_WRITTEN), end->position);
    return atomic_load(word(end, AT_WAITING)) != 0 && atomic_exchange(word(end, AT_WAITING), 0) != 0;
}
