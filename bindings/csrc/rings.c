/* The one form of a ring: direction and first vertex. */
#include "rings.h"

#include "decl/codes.h"
#include "decl/vectors.h"

static int is_less(const int32_t *one, const int32_t *other)
{
    return one[1] < other[1] || (one[1] == other[1] && one[0] < other[0]);
}

static int is_equal(const int32_t *one, const int32_t *other)
{
    return one[0] == other[0] && one[1] == other[1];
}

static void reverse(int32_t *vertex, int64_t from, int64_t to)
{
    for (to--; from < to; from++, to--)
        for (int k = 0; k < 2; k++) {
            const int32_t swap = vertex[2 * from + k];
            vertex[2 * from + k] = vertex[2 * to + k];
            vertex[2 * to + k] = swap;
        }
}

/* Exact: upper and lower halves of the products are added apart. */
int sw_ring_turning(const int32_t *vertex, int64_t count)
{
    int64_t upper = 0, lower = 0;
    for (int64_t i = 1; i + 1 < count; i++) {
        const int64_t ax = (int64_t)vertex[2 * i] - vertex[0], ay = (int64_t)vertex[2 * i + 1] - vertex[1];
        const int64_t bx = (int64_t)vertex[2 * i + 2] - vertex[0], by = (int64_t)vertex[2 * i + 3] - vertex[1];
        const int64_t doubled = ax * by - bx * ay;
        const int64_t low = doubled & 0xFFFFFFFF;
        lower += low;
        upper += (doubled - low) / 4294967296;
    }
    upper += lower / 4294967296;
    lower %= 4294967296;
    return upper > 0 || (upper == 0 && lower > 0) ? 1 : upper < 0 ? -1 : 0;
}

/* Where the least rotation begins: two candidates are compared at a time, and the worse one leaps over what it lost. */
static int64_t least_rotation(const int32_t *vertex, int64_t count)
{
    int64_t one = 0, other = 1, alike = 0;
    while (one < count && other < count && alike < count) {
        const int32_t *a = vertex + 2 * ((one + alike) % count), *b = vertex + 2 * ((other + alike) % count);
        if (is_equal(a, b)) {
            alike++;
            continue;
        }
        if (is_less(b, a))
            one += alike + 1;
        else
            other += alike + 1;
        other += one == other;
        alike = 0;
    }
    return one < other ? one : other;
}

void sw_ring_rotate(int32_t *vertex, int64_t count)
{
    const int64_t first = least_rotation(vertex, count);
    reverse(vertex, 0, first);
    reverse(vertex, first, count);
    reverse(vertex, 0, count);
}

int sw_rings_canonical(int32_t *vertex, const int32_t *ring_vertices, int64_t rings, int64_t *fault)
{
    for (*fault = 0; *fault < rings; ++*fault) {
        const int64_t count = ring_vertices[*fault];
        if (count < SW_VECTOR_RING_MIN)
            return SW_VEC_RINGS;
        for (int64_t i = 0; i < 2 * count; i++)
            if (vertex[i] < -SW_VECTOR_PLACE_MAX || vertex[i] > SW_VECTOR_PLACE_MAX)
                return SW_VEC_PLACE;
        for (int64_t i = 0; i < count; i++)
            if (is_equal(vertex + 2 * i, vertex + 2 * ((i + 1) % count)))
                return SW_VEC_REPEATED;
        const int turns = sw_ring_turning(vertex, count);
        if (turns == 0)
            return SW_VEC_NO_AREA;
        if (turns < 0)
            reverse(vertex, 0, count);
        sw_ring_rotate(vertex, count);
        vertex += 2 * count;
    }
    return 0;
}
