#ifndef SWATH_DECL_NMS_H
#define SWATH_DECL_NMS_H

#include <stdint.h>

/* What sw_nms_keep says of a box that it does not take; `fault` has its index. */
#define SW_NMS_NOT_FINITE -101 /* a corner or the score is no finite number */
#define SW_NMS_INVERTED -102   /* x1 < x0 or y1 < y0 */

#define SW_NMS_BOXES_MAX 268435456

typedef struct {
    int64_t fault;       /* index of the box at fault */
    int64_t comparisons; /* overlaps that were computed */
    int64_t cells;       /* cells that were looked into */
} sw_nms_account;

/* Octets of scratch that sw_nms_keep needs for `count` boxes, aligned to 8; or SW_E_ARGUMENT. */
int64_t sw_nms_scratch(int64_t count);

/* Exact greedy non-maximum suppression: by falling score, ties by rising index, a box is kept unless its intersection
 * with a kept box of its class is larger than `threshold` times their union. Both are computed in double precision as
 * (min(x1) - max(x0)) * (min(y1) - max(y0)) and area + area - intersection. A box without area is always kept.
 * boxes    count * (x0, y0, x1, y1)
 * classes  one a box, or NULL: all are of one class
 * keep     out: indices of the boxes that are kept, in that order; room for `count`
 * Returns how many are kept, SW_E_ARGUMENT, or one of SW_NMS_... for a box that is not taken. Never allocates. */
int64_t sw_nms_keep(const float *boxes, const float *scores, const int32_t *classes, int64_t count, double threshold,
                    int64_t *keep, void *scratch, sw_nms_account *account);

#endif
