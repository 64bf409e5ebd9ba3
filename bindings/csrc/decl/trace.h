#ifndef SWATH_DECL_TRACE_H
#define SWATH_DECL_TRACE_H

#include <stdint.h>

/* Outlines of one class of a map, exactly along pixel edges.
 * map    rows * cols class values, `stride` octets from row to row
 * value  the class; its pixels hang together where they share an edge (4-connected), so two that only touch at a
 *        corner are two parts, and no outline crosses itself. */

/* Horizontal runs of the class; what the arrays of sw_runs_label must hold. */
int64_t sw_runs_count(const uint8_t *map, int64_t rows, int64_t cols, int64_t stride, uint8_t value);

/* List the runs in raster order and number the parts they belong to, 0 for the part whose first pixel comes first.
 * row, first, end   per run: its row, its first column and the one after its last
 * part              per run: the number of its part
 * parent            scratch, one per run
 * Returns the number of parts, or SW_E_SPACE when there are more than `runs` runs. Never allocates. */
int64_t sw_runs_label(const uint8_t *map, int64_t rows, int64_t cols, int64_t stride, uint8_t value, int64_t runs,
                      int32_t *row, int32_t *first, int32_t *end, int32_t *part, int32_t *parent);

typedef struct {
    int64_t cursor;         /* pixel to go on at; start with 0; rows * cols when all rings are out */
    int32_t *points;        /* corners as x, y; x right, y down, (0, 0) the outer corner of the first pixel */
    int64_t point_capacity; /* corners that fit */
    int64_t point_count;    /* out */
    int64_t *ring_end;      /* per ring: corners up to and with its last */
    int64_t *ring_start;    /* per ring: row * cols + column of a pixel of its part */
    uint8_t *ring_pinched;  /* per ring: 1 if it passes a corner where pixels touch diagonally */
    int64_t ring_capacity;
    int64_t ring_count;     /* out */
} sw_rings;

/* Trace further rings, in the order of their first upper edge, with the class at the right hand: outer rings run
 * right, down, left, up; rings around holes the other way. Straight parts have no corners between.
 * visited  one bit a pixel, (rows * cols + 7) / 8 octets, zero before the first call
 * Returns 0 when all is out or what fits is; if then no ring came, `points` must be larger: needed is in point_count. */
int sw_trace_rings(const uint8_t *map, int64_t rows, int64_t cols, int64_t stride, uint8_t value, uint8_t *visited,
                   sw_rings *rings);

/* Cut rings into loops that pass no corner twice, in the order in which they close; a ring that is not pinched is one.
 * points, ring_end, ring_pinched  of `rings` rings, as sw_trace_rings gives them (here all in one array)
 * out        as many corners as there are
 * loop_end   per loop: corners up to and with its last; no loop has fewer than 4
 * loop_ring  per loop: index of its ring; loop_outer: 1 if it runs clockwise on screen
 * path, place  scratch, one each per corner of the longest ring; table: 2^table_bits, at least twice as many
 * Returns the number of loops, or SW_E_SPACE. Never allocates. */
int64_t sw_rings_cut(const int32_t *points, const int64_t *ring_end, const uint8_t *ring_pinched, int64_t rings,
                     int32_t *out, int64_t *loop_end, int64_t *loop_ring, uint8_t *loop_outer, int64_t loop_capacity,
                     int32_t *path, int32_t *place, int32_t *table, int table_bits);

#endif
