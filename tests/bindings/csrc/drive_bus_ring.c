/* The ring under threads, under octets that change at random, and at its edges, in memory of exactly its size.
 * Part of test_core. */
#include "decl/bus.h"
#include "decl/bus_ring.h"
#include "decl/codes.h"
#include "drive.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ROOM = 1024, SIZE = SW_RING_HEADER + ROOM, LONGEST = 200, MESSAGES = 60000, ROUNDS = 30000 };

static uint8_t *memory;
static atomic_int writing;

static uint64_t noise(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void make(uint32_t max_octets, int32_t is_checked)
{
    memory = aligned_alloc(SW_RING_ALIGNMENT, SIZE);
    REQUIRE(memory != NULL);
    memset(memory, 0, SIZE);
    REQUIRE(sw_ring_format(memory, SIZE, max_octets, is_checked) == SW_OK);
}

static void *write_all(void *argument)
{
    sw_ring_end *end = argument;
    uint8_t *own = octets(LONGEST);
    for (int i = 0; i < MESSAGES; i++) {
        const size_t length = (size_t)(i % (LONGEST + 1));
        memset(own, i & 0xFF, length);
        REQUIRE(sw_ring_write(end, (uint16_t)i, 7, own, length) >= 0);
        if (i % 3 == 0)
            REQUIRE(sw_ring_wakes(end) >= 0);
    }
    free(own);
    atomic_store(&writing, 0);
    return NULL;
}

static void race(int32_t is_checked)
{
    sw_ring_end writer, reader;
    pthread_t thread;
    make(LONGEST, is_checked);
    REQUIRE(sw_ring_attach(&reader, memory, SIZE, 0) == SW_OK && sw_ring_attach(&writer, memory, SIZE, 1) == SW_OK);
    atomic_store(&writing, 1);
    REQUIRE(pthread_create(&thread, NULL, write_all, &writer) == 0);
    uint8_t *own = octets(3 * LONGEST);
    sw_ring_record *records = octets(3 * sizeof *records);
    int64_t last = -1;
    for (int more = 1; more;) {
        more = atomic_load(&writing);
        const int64_t count = sw_ring_read(&reader, records, 3, own, 3 * LONGEST);
        REQUIRE(count >= 0 && count <= 3 && sw_ring_arm(&reader) >= 0);
        for (int64_t i = 0; i < count; i++) {
            const sw_ring_record *r = &records[i];
            REQUIRE(r->sequence > last && r->length == r->sequence % (LONGEST + 1) && r->source == 7);
            REQUIRE(r->topic == (uint16_t)r->sequence);
            for (int32_t at = 0; at < r->length; at++)
                REQUIRE(own[r->offset + at] == (r->sequence & 0xFF));
            last = r->sequence;
        }
        more |= count > 0;
    }
    pthread_join(thread, NULL);
    REQUIRE(writer.written + writer.dropped == MESSAGES && reader.read == writer.written);
    REQUIRE(reader.lost + reader.read == last + 1 && reader.damaged == 0 && reader.impossible + writer.impossible == 0);
    free(records);
    free(own);
    free(memory);
}

static void change(void)
{
    for (uint64_t flips = noise() % 3; flips > 0; flips--) {
        const uint64_t at = noise() % 2 ? noise() % SIZE : noise() % SW_RING_HEADER;
        memory[at] = noise() % 4 ? (uint8_t)noise() : 0;
    }
    if (noise() % 50 == 0)
        memset(memory + 64, noise() % 2 ? 0xFF : 0, 136);
}

/* Octets anywhere change between the calls; then no more, and messages flow again. */
static void hostile(void)
{
    sw_ring_end writer, reader;
    make(LONGEST, 1);
    REQUIRE(sw_ring_attach(&reader, memory, SIZE, 0) == SW_OK && sw_ring_attach(&writer, memory, SIZE, 1) == SW_OK);
    uint8_t *own = octets(LONGEST), *room = octets(4 * LONGEST);
    sw_ring_record *records = octets(4 * sizeof *records);
    for (int round = 0; round < ROUNDS; round++) {
        change();
        if (sw_ring_write(&writer, 3, 4, own, noise() % (LONGEST + 1)) == 1)
            REQUIRE(writer.position - writer.peer <= ROOM);
        change();
        const int64_t count = sw_ring_read(&reader, records, 1 + (int64_t)(noise() % 4), room, noise() % (4 * LONGEST));
        REQUIRE((count >= 0 && count <= 4) || count == SW_E_DAMAGED || count == SW_E_SPACE);
        for (int64_t i = 0; i < count; i++)
            REQUIRE(records[i].length <= LONGEST && records[i].topic == 3 && records[i].offset <= 4 * LONGEST);
    }
    REQUIRE(reader.damaged > 0 && reader.resynchronised > 0 && reader.impossible > 0 && writer.impossible > 0);
    int flowing = 0;
    for (int round = 0; round < 8; round++) {
        own[0] = (uint8_t)round;
        REQUIRE(sw_ring_write(&writer, 9, 9, own, 1) >= 0);
        for (int64_t count = 1; count != 0;) {
            count = sw_ring_read(&reader, records, 1, room, LONGEST);
            if (count == 1 && records[0].topic == 9)
                flowing = room[0] == round;
        }
    }
    REQUIRE(flowing);
    free(records);
    free(room);
    free(own);
    free(memory);
}

static void edges(void)
{
    sw_ring_end writer, reader;
    uint8_t *exact = octets(LONGEST);
    sw_ring_record record;
    make(LONGEST, 1);
    REQUIRE(sw_ring_format(memory, SIZE, ROOM, 1) == SW_E_ARGUMENT && sw_ring_format(memory, SIZE - 8, 1, 1) < 0);
    REQUIRE(sw_ring_format(memory + 8, SIZE, 1, 1) == SW_E_ARGUMENT && sw_ring_format(memory, 100, 1, 1) < 0);
    REQUIRE(sw_ring_attach(&reader, memory, SIZE, 0) == SW_OK && sw_ring_attach(&writer, memory, SIZE, 1) == SW_OK);
    REQUIRE(sw_ring_attach(&reader, memory, 64, 0) == SW_E_ARGUMENT);
    REQUIRE(sw_ring_write(&reader, 1, 1, exact, 1) == SW_E_ARGUMENT && sw_ring_arm(&writer) == SW_E_ARGUMENT);
    REQUIRE(sw_ring_read(&writer, &record, 1, exact, 1) == SW_E_ARGUMENT && sw_ring_wakes(&reader) == SW_E_ARGUMENT);
    REQUIRE(sw_ring_read(&reader, &record, 0, exact, 1) == SW_E_ARGUMENT);
    REQUIRE(sw_ring_write(&writer, 1, 1, exact, LONGEST + 1) == SW_E_SPACE && writer.refused == 1);
    REQUIRE(sw_ring_read(&reader, &record, 1, exact, LONGEST) == 0 && sw_ring_arm(&reader) == 0);
    REQUIRE(sw_ring_write(&writer, 1, 1, NULL, 0) == 1 && sw_ring_wakes(&writer) == 1 && sw_ring_wakes(&writer) == 0);
    REQUIRE(sw_ring_arm(&reader) == 1 && sw_ring_read(&reader, &record, 1, NULL, 0) == 1 && record.length == 0);
    REQUIRE(sw_ring_write(&writer, 65535, 2, exact, LONGEST) == 1);
    REQUIRE(sw_ring_read(&reader, &record, 1, exact, LONGEST - 1) == SW_E_SPACE && record.length == LONGEST);
    REQUIRE(sw_ring_read(&reader, &record, 1, exact, LONGEST) == 1 && record.topic == 65535 && record.sequence == 1);
    sw_bus_record two[2] = {{5, 20, 0, 0}, {65535, 4, 20, 0}};
    REQUIRE(sw_ring_write_batch(&writer, 3, two, 2, exact, 24) == 2);
    REQUIRE(sw_ring_write_batch(&writer, 3, two, 2, exact, 23) == SW_E_ARGUMENT);
    two[0].message = 65536;
    REQUIRE(sw_ring_write_batch(&writer, 3, two, 2, exact, 24) == SW_E_ARGUMENT);
    memory[3] ^= 1;
    REQUIRE(sw_ring_attach(&reader, memory, SIZE, 0) == SW_E_DAMAGED);
    free(exact);
    free(memory);
}

void drive_bus_ring(void)
{
    edges();
    race(1);
    race(0);
    hostile();
}
