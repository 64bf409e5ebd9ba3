#ifndef SWATH_DECL_VECTORS_H
#define SWATH_DECL_VECTORS_H

#include <stddef.h>
#include <stdint.h>

/* The code of detections and polygons (docs/vector-format.md): whole numbers in columns, each number as a few binary
 * decisions whose probabilities follow what came before, under a range coder. */

#define SW_VECTOR_PLACE_MAX 67108864 /* 2^26: places are quarters of a pixel from -2^26 to 2^26 */
#define SW_VECTOR_CLASS_MAX 255
#define SW_VECTOR_SCORE_MAX 255
#define SW_VECTOR_RING_MIN 3

/* What sw_vectors_decode says of octets that are no code, and sw_rings_canonical of rings. */
#define SW_VEC_CUT_SHORT 1  /* the octets end before the numbers do */
#define SW_VEC_BEHIND 2     /* octets behind the last number */
#define SW_VEC_NUMBER 3     /* a number of more bits than any can have */
#define SW_VEC_PLACE 4      /* a place or size out of range */
#define SW_VEC_CLASS 5      /* a class out of range */
#define SW_VEC_RINGS 6      /* rings or vertices that do not add up to the stated numbers */
#define SW_VEC_REPEATED 7   /* a ring passes the same place twice in a row */
#define SW_VEC_NO_AREA 8    /* a ring that encloses nothing */

typedef struct {
    int32_t class_value, y, x, width, height, score;
} sw_detection;

typedef struct {
    int64_t detections, polygons, rings, vertices;
    int32_t detection_shift, polygon_shift; /* places are coded without so many low bits, which are zero */
    sw_detection *detection;                /* in canonical order */
    int32_t *polygon_class, *polygon_rings; /* one a polygon; the first ring of each is its exterior */
    int32_t *ring_vertices;                 /* one a ring */
    int32_t *vertex;                        /* x, y of each */
} sw_vectors;

/* Turns every ring so that it runs clockwise on screen (x right, y down) and begins at its least rotation by (y, x).
 * fault: index of the ring at fault. Returns 0, or SW_VEC_PLACE, SW_VEC_RINGS, SW_VEC_REPEATED, SW_VEC_NO_AREA. */
int sw_rings_canonical(int32_t *vertex, const int32_t *ring_vertices, int64_t rings, int64_t *fault);

/* The code of what is given, which must be in range and canonical order. Returns its octets, SW_E_SPACE, or
 * SW_E_ARGUMENT for what is not. */
int64_t sw_vectors_encode(const sw_vectors *v, uint8_t *out, size_t capacity);

/* Fill the arrays of `v`, which have room for exactly the numbers that it states. where: octets looked at when a fault
 * was found. Returns 0, or one of SW_VEC_...; any octets are safe. Whether they are the one code of what was decoded
 * only encoding it again tells. */
int sw_vectors_decode(const uint8_t *octets, size_t length, sw_vectors *v, size_t *where);

#endif
