#ifndef SWATH_DECL_MASK_H
#define SWATH_DECL_MASK_H

#include <stddef.h>
#include <stdint.h>

/* The run-length code of class rows, as journals keep them until a product is made.
 * One token a run, in raster order: LEB128 of 2 * (length - 1) + named. named 0: the run has the class that stood before
 * the current one; named 1: the class follows in one octet. Every content has exactly one encoding. */

/* What sw_mask_decode says of octets that are not such an encoding. */
#define SW_MASK_CUT_SHORT 1  /* the octets end before the pixels do */
#define SW_MASK_NOT_SHORT 2  /* a number in more octets than it needs, or of more than 63 bits */
#define SW_MASK_OVERRUN 3    /* a run goes past the last pixel */
#define SW_MASK_NOT_ONE 4    /* a class is named that must be implied, repeats, or is implied where none stood before */
#define SW_MASK_BEHIND 5     /* octets follow the last run */

/* Encode `count` class values. counts: pixels of each value, added to.
 * Returns the octets written (at most 2 * count), or SW_E_SPACE when `capacity` is too small. Never allocates. */
int64_t sw_mask_encode(const uint8_t *pixels, size_t count, uint8_t *out, size_t capacity, uint64_t *counts);

/* Decode into exactly `count` class values. counts: as above. where: the octet at which a fault was found.
 * Returns 0, or one of SW_MASK_...; `out` is then of no meaning. Reads and writes within bounds for any octets. */
int sw_mask_decode(const uint8_t *octets, size_t length, uint8_t *out, size_t count, uint64_t *counts, size_t *where);

#endif
