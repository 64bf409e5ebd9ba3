/* Rings that touch themselves at corners, cut into loops that do not. */
#include <string.h>

#include "decl/codes.h"
#include "decl/trace.h"

typedef struct {
    const int32_t *corner;   /* of the ring: x, y */
    int32_t *path, *place;   /* corners that no loop has taken yet; where on the path each corner lies, or -1 */
    int32_t *table;          /* the last corner at each place, or -1; open addressing */
    uint32_t mask;
} walker;

static uint32_t slot_of(const walker *w, int32_t corner)
{
    const int32_t *at = w->corner + 2 * (int64_t)corner;
    uint32_t mixed = (uint32_t)at[0] * 0x9E3779B1u + (uint32_t)at[1] * 0x85EBCA77u;
    mixed = (mixed ^ mixed >> 15) * 0xC2B2AE3Du;
    uint32_t slot = (mixed ^ mixed >> 13) & w->mask;
    while (w->table[slot] >= 0 && memcmp(w->corner + 2 * (int64_t)w->table[slot], at, 2 * sizeof *at) != 0)
        slot = (slot + 1) & w->mask;
    return slot;
}

/* The surveyor's formula from the first corner on, y downward. */
static int is_clockwise(const int32_t *corner, int64_t count)
{
    int64_t doubled = 0;
    for (int64_t i = 1; i + 1 < count; i++) {
        const int64_t ax = (int64_t)corner[2 * i] - corner[0], ay = (int64_t)corner[2 * i + 1] - corner[1];
        const int64_t bx = (int64_t)corner[2 * i + 2] - corner[0], by = (int64_t)corner[2 * i + 3] - corner[1];
        doubled += ax * by - bx * ay;
    }
    return doubled > 0;
}

typedef struct {
    int32_t *out;
    int64_t *end, *ring;
    uint8_t *outer;
    int64_t count, capacity, made;
} loops;

/* The corners out + 2 * first up to `made` are a loop of a ring. Returns 0 if there is no room for it. */
static int end_loop(loops *l, int64_t first, int64_t ring)
{
    if (l->count == l->capacity)
        return 0;
    l->end[l->count] = l->made;
    l->ring[l->count] = ring;
    l->outer[l->count++] = (uint8_t)is_clockwise(l->out + 2 * first, l->made - first);
    return 1;
}

/* The path from `start` on is a loop: its first corner stays on the path, the others leave it. */
static int close_loop(loops *l, walker *w, int32_t start, int32_t depth, int64_t ring)
{
    const int64_t first = l->made;
    for (int32_t k = start; k < depth; k++) {
        memcpy(l->out + 2 * l->made++, w->corner + 2 * (int64_t)w->path[k], 2 * sizeof *l->out);
        if (k > start)
            w->place[w->path[k]] = -1;
    }
    return end_loop(l, first, ring);
}

static int cut(loops *l, walker *w, int32_t count, int64_t ring)
{
    int32_t depth = 0;
    for (int32_t i = 0; i < count; i++) {
        const uint32_t slot = slot_of(w, i);
        const int32_t seen = w->table[slot];
        if (seen >= 0 && w->place[seen] >= 0) {
            if (!close_loop(l, w, w->place[seen], depth, ring))
                return 0;
            depth = w->place[seen] + 1;
        } else {
            w->table[slot] = i;
            w->place[i] = depth;
            w->path[depth++] = i;
        }
    }
    return close_loop(l, w, 0, depth, ring);
}

int64_t sw_rings_cut(const int32_t *points, const int64_t *ring_end, const uint8_t *ring_pinched, int64_t rings,
                     int32_t *out, int64_t *loop_end, int64_t *loop_ring, uint8_t *loop_outer, int64_t loop_capacity,
                     int32_t *path, int32_t *place, int32_t *table, int table_bits)
{
    loops l = {out, loop_end, loop_ring, loop_outer, 0, loop_capacity, 0};
    for (int64_t ring = 0, from = 0; ring < rings; from = ring_end[ring++]) {
        const int64_t count = ring_end[ring] - from, first = l.made;
        walker w = {points + 2 * from, path, place, table, 0};
        if (!ring_pinched[ring]) {
            memcpy(out + 2 * first, w.corner, 2 * (size_t)count * sizeof *out);
            l.made += count;
            if (!end_loop(&l, first, ring))
                return SW_E_SPACE;
            continue;
        }
        int bits = 1;
        while (bits < table_bits && (int64_t)1 << bits < 2 * count)
            bits++;
        if ((int64_t)1 << bits < 2 * count)
            return SW_E_SPACE;
        w.mask = (uint32_t)(((int64_t)1 << bits) - 1);
        memset(table, 0xFF, sizeof *table << bits);
        if (!cut(&l, &w, (int32_t)count, ring))
            return SW_E_SPACE;
    }
    return l.count;
}
