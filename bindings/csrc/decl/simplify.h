#ifndef SWATH_DECL_SIMPLIFY_H
#define SWATH_DECL_SIMPLIFY_H

#include <stdint.h>

/* Douglas-Peucker on closed rings, in whole numbers throughout: equal rings give equal results on every machine. */

#define SW_SIMPLIFY_PLACE_MAX 67108864 /* 2^26, as SW_VECTOR_PLACE_MAX */
#define SW_SIMPLIFY_TOLERANCE_MAX 65535
#define SW_SIMPLIFY_PIECE 1024 /* no more vertices than this are looked at for one chord: time is linear at worst */

/* Simplify each of `rings` rings.
 * vertex          x, y of the rings one after another, not closed; ring_vertices: how many each has, 0 or more
 * tolerance       vertices stay that lie farther than this from the chord that would stand for them
 * keep_collapsed  one a ring: a ring of which less than a triangle would stay is made one (1) or dropped (0)
 * out             room for as many vertices as there are; out_vertices: how many each ring has left, 0 for a dropped one
 * scratch         one octet a vertex of the longest ring
 * A ring begins at its least vertex by (y, x), keeps its direction, and has no vertex twice in a row. Rings without
 * area are dropped. Returns the vertices written, or SW_E_ARGUMENT for a place or tolerance out of range. */
int64_t sw_simplify_rings(const int32_t *vertex, const int32_t *ring_vertices, int64_t rings, int32_t tolerance,
                          const uint8_t *keep_collapsed, int32_t *out, int32_t *out_vertices, uint8_t *scratch);

#endif
