#ifndef SWATH_DECL_ANSWER_H
#define SWATH_DECL_ANSWER_H

#include <stdint.h>

#define SW_MARGIN_ONE 65536 /* a margin of 1: best score 1, second best 0 */

/* The pixels of a tile that it alone decides: rows [first_row, end_row), columns [first_col, end_col) of the tile. */
typedef struct {
    int32_t side, first_row, end_row, first_col, end_col;
} sw_own;

/* What sw_answer_measure() finds in one tile of scores. */
typedef struct {
    int64_t margin; /* sum over the answered own pixels of |2p - 1|, or best minus second best, in 1/65536 */
    int64_t pixels; /* answered own pixels */
    int64_t bad;    /* scores of the whole tile that are not a number or outside [low, high] */
} sw_answer;

/* Close the own pixels that are not valid: open = open && valid.
 *   valid   side * side, 0 or 1;  open  the own pixels, 0 or 1, rows `open_stride` apart
 * Returns SW_OK or SW_E_ARGUMENT. */
int sw_answer_close(const uint8_t *valid, const sw_own *own, uint8_t *open, int64_t open_stride);

/* Check every score of a tile against [low, high], and sum the margin of the own pixels that are open. Rows that hold
 * a bad score are only checked.
 *   scores  classes * side * side;  open  as above;  low >= -1, high <= 2
 * Returns SW_OK or SW_E_ARGUMENT. */
int sw_answer_measure(const float *scores, int32_t classes, const sw_own *own, float low, float high,
                      const uint8_t *open, int64_t open_stride, sw_answer *answer);

/* Whether `rows` rows of `count` octets each, `stride` octets apart, hold nothing but the `item` octets at `fill` again
 * and again: 1 or 0. The first that differ end it. count is a multiple of item, item is 1 to 8; else SW_E_ARGUMENT. */
int sw_holds_only(const uint8_t *octets, int64_t rows, int64_t count, int64_t stride, const uint8_t *fill,
                  int64_t item);

/* Give `none` to the `count` labels that are not open; returns how many those are. */
int64_t sw_answer_blank(uint8_t *labels, const uint8_t *open, int64_t count, uint8_t none);

#endif
