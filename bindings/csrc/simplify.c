/* Douglas-Peucker in whole numbers. Distances are compared as squares of up to 128 bits, never divided. */
#include "decl/simplify.h"

#include <string.h>

#include "decl/codes.h"
#include "rings.h"

typedef struct {
    uint64_t upper, lower;
} wide;

static wide product(uint64_t one, uint64_t other)
{
    const uint64_t a = one >> 32, b = one & 0xFFFFFFFFu, c = other >> 32, d = other & 0xFFFFFFFFu;
    const uint64_t low = b * d, middle = a * d + (low >> 32), cross = b * c + (middle & 0xFFFFFFFFu);
    return (wide){a * c + (middle >> 32) + (cross >> 32), cross << 32 | (low & 0xFFFFFFFFu)};
}

/* Below zero, zero or above, as one is less than, equal to or more than the other. */
static int compared(wide one, wide other)
{
    if (one.upper != other.upper)
        return one.upper < other.upper ? -1 : 1;
    return one.lower < other.lower ? -1 : one.lower > other.lower;
}

static int is_before(const int32_t *one, const int32_t *other)
{
    return one[1] < other[1] || (one[1] == other[1] && one[0] < other[0]);
}

static uint64_t squared_distance(const int32_t *one, const int32_t *other)
{
    const int64_t x = (int64_t)one[0] - other[0], y = (int64_t)one[1] - other[1];
    return (uint64_t)(x * x + y * y);
}

/* The farthest of some vertices: by how far, of equally far ones the least by (y, x), so that neither the direction of
 * a ring nor its start decides. */
typedef struct {
    uint64_t far;
    int64_t index; /* -1: none */
} farthest;

static void offer(farthest *best, uint64_t far, int64_t index, const int32_t *vertex)
{
    if (best->index < 0 || far > best->far
        || (far == best->far && is_before(vertex + 2 * index, vertex + 2 * best->index)))
        *best = (farthest){far, index};
}

/* The vertex between `from` and `to` that is farthest from the chord between them, if it is farther than the
 * tolerance; else -1. Index `count` is index 0 again. */
static int64_t split_of(const int32_t *vertex, int64_t count, int64_t from, int64_t to, uint64_t tolerance)
{
    const int32_t *a = vertex + 2 * from, *b = vertex + 2 * (to % count);
    const int64_t ex = (int64_t)b[0] - a[0], ey = (int64_t)b[1] - a[1];
    const uint64_t length = (uint64_t)(ex * ex + ey * ey);
    farthest beside = {0, -1}, beyond = {0, -1}; /* by doubled area with the chord; by squared distance to its end */
    for (int64_t i = from + 1; i < to; i++) {
        const int32_t *p = vertex + 2 * i;
        const int64_t px = (int64_t)p[0] - a[0], py = (int64_t)p[1] - a[1], along = px * ex + py * ey;
        if (along <= 0)
            offer(&beyond, squared_distance(p, a), i, vertex);
        else if ((uint64_t)along >= length)
            offer(&beyond, squared_distance(p, b), i, vertex);
        else {
            const int64_t area = px * ey - py * ex;
            offer(&beside, (uint64_t)(area < 0 ? -area : area), i, vertex);
        }
    }
    const wide beside_far = product(beside.far, beside.far), beyond_far = product(beyond.far, length);
    int is_beside = beside.index >= 0;
    if (is_beside && beyond.index >= 0) {
        const int which = compared(beside_far, beyond_far);
        is_beside = which > 0 || (which == 0 && is_before(vertex + 2 * beside.index, vertex + 2 * beyond.index));
    }
    if (is_beside)
        return compared(beside_far, product(tolerance * tolerance, length)) > 0 ? beside.index : -1;
    return beyond.index >= 0 && beyond.far > tolerance * tolerance ? beyond.index : -1;
}

/* Mark what stays between two vertices that do. The shorter side is taken first, so that the longer sides waiting are
 * no more than their length has bits. */
static void mark(const int32_t *vertex, int64_t count, int64_t from, int64_t to, uint64_t tolerance, uint8_t *stays)
{
    int64_t waiting[64][2];
    int depth = 0;
    for (;;) {
        const int64_t split = to - from > 1 ? split_of(vertex, count, from, to, tolerance) : -1;
        if (split >= 0) {
            stays[split] = 1;
            const int first_is_longer = split - from > to - split;
            waiting[depth][0] = first_is_longer ? from : split;
            waiting[depth++][1] = first_is_longer ? split : to;
            from = first_is_longer ? split : from;
            to = first_is_longer ? to : split;
        } else if (depth > 0) {
            depth--;
            from = waiting[depth][0], to = waiting[depth][1];
        } else
            return;
    }
}

static void mark_in_pieces(const int32_t *vertex, int64_t count, int64_t from, int64_t to, uint64_t tolerance,
                           uint8_t *stays)
{
    for (int64_t end; from < to; from = end) {
        end = to - from > SW_SIMPLIFY_PIECE ? from + SW_SIMPLIFY_PIECE : to;
        if (end < count)
            stays[end] = 1;
        mark(vertex, count, from, end, tolerance, stays);
    }
}

/* May be done in place. */
static int64_t without_repeats(const int32_t *vertex, int64_t count, int32_t *out)
{
    int64_t made = 0;
    for (int64_t i = 0; i < count; i++)
        if (made == 0 || memcmp(vertex + 2 * i, out + 2 * made - 2, 2 * sizeof *out) != 0)
            memmove(out + 2 * made++, vertex + 2 * i, 2 * sizeof *out);
    while (made > 1 && memcmp(out, out + 2 * made - 2, 2 * sizeof *out) == 0)
        made--;
    return made;
}

static int64_t farthest_from_first(const int32_t *vertex, int64_t count)
{
    farthest other = {0, -1};
    for (int64_t i = 1; i < count; i++)
        offer(&other, squared_distance(vertex, vertex + 2 * i), i, vertex);
    return other.index;
}

static int64_t packed(const int32_t *vertex, int64_t count, const uint8_t *stays, int32_t *out)
{
    int64_t made = 0;
    for (int64_t i = 0; i < count; i++)
        if (stays[i])
            memmove(out + 2 * made++, vertex + 2 * i, 2 * sizeof *out);
    return made;
}

/* A ring that has area, as the triangle of its first vertex, the one farthest from it and the one farthest from the
 * line through both. */
static int64_t triangle(int32_t *ring, int64_t count, uint8_t *stays)
{
    const int64_t other = farthest_from_first(ring, count);
    const int64_t ex = (int64_t)ring[2 * other] - ring[0], ey = (int64_t)ring[2 * other + 1] - ring[1];
    farthest third = {0, -1};
    for (int64_t i = 1; i < count; i++) {
        const int64_t area = ((int64_t)ring[2 * i] - ring[0]) * ey - ((int64_t)ring[2 * i + 1] - ring[1]) * ex;
        offer(&third, (uint64_t)(area < 0 ? -area : area), i, ring);
    }
    memset(stays, 0, (size_t)count);
    stays[0] = stays[other] = stays[third.index] = 1;
    return packed(ring, count, stays, ring);
}

static int64_t simplify(const int32_t *vertex, int64_t given, uint64_t tolerance, int keep_collapsed, int32_t *out,
                        uint8_t *stays)
{
    const int64_t count = without_repeats(vertex, given, out);
    if (count < 3 || sw_ring_turning(out, count) == 0)
        return 0;
    sw_ring_rotate(out, count);
    const int64_t other = farthest_from_first(out, count);
    memset(stays, 0, (size_t)count);
    stays[0] = stays[other] = 1;
    mark_in_pieces(out, count, 0, other, tolerance, stays);
    mark_in_pieces(out, count, other, count, tolerance, stays);
    /* where a ring returns to a place, leaving out what lies between makes a repeat */
    const int64_t made = without_repeats(out, packed(out, count, stays, out), out);
    if (made >= 3 && sw_ring_turning(out, made) != 0) {
        sw_ring_rotate(out, made);
        return made;
    }
    if (!keep_collapsed)
        return 0;
    without_repeats(vertex, given, out);
    sw_ring_rotate(out, count);
    return triangle(out, count, stays);
}

int64_t sw_simplify_rings(const int32_t *vertex, const int32_t *ring_vertices, int64_t rings, int32_t tolerance,
                          const uint8_t *keep_collapsed, int32_t *out, int32_t *out_vertices, uint8_t *scratch)
{
    if (tolerance < 0 || tolerance > SW_SIMPLIFY_TOLERANCE_MAX)
        return SW_E_ARGUMENT;
    int64_t made = 0;
    for (int64_t ring = 0; ring < rings; ring++) {
        const int64_t count = ring_vertices[ring];
        if (count < 0)
            return SW_E_ARGUMENT;
        for (int64_t i = 0; i < 2 * count; i++)
            if (vertex[i] < -SW_SIMPLIFY_PLACE_MAX || vertex[i] > SW_SIMPLIFY_PLACE_MAX)
                return SW_E_ARGUMENT;
        out_vertices[ring] =
            (int32_t)simplify(vertex, count, (uint64_t)tolerance, keep_collapsed[ring], out + 2 * made, scratch);
        made += out_vertices[ring];
        vertex += 2 * count;
    }
    return made;
}
