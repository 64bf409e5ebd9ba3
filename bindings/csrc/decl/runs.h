#ifndef SWATH_DECL_RUNS_H
#define SWATH_DECL_RUNS_H

#include <stddef.h>
#include <stdint.h>

/* Runs of equal class values in raster order.
 *   row      a run ends at every multiple of so many pixels; 0: runs go on from row to row
 *   lengths, values  `capacity` each; a run's pixels, and the value they have
 * Returns how many runs there are, SW_E_SPACE when `capacity` is too small (as many as fit may have been written), or
 * SW_E_ARGUMENT when `count` exceeds 32 bits. Never allocates. */
int64_t sw_runs_find(const uint8_t *pixels, size_t count, size_t row, uint32_t *lengths, uint8_t *values,
                     size_t capacity);

#endif
