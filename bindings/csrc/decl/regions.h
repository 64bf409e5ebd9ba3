#ifndef SWATH_DECL_REGIONS_H
#define SWATH_DECL_REGIONS_H

#include <stdint.h>

/* A connected region (8 neighbours), in whole pixels. */
typedef struct {
    int64_t area, first_row, first_col, last_row, last_col, sum_row, sum_col;
} sw_region;

typedef struct {
    int32_t first, end;   /* columns [first, end) */
    int32_t region;       /* index into a table of regions */
} sw_run;

/* A scan between two rows. The arrays are the caller's; `runs` each hold (width + 1) / 2, the others width + 1. */
typedef struct {
    int64_t row;          /* scene row that comes next */
    int32_t width;
    uint8_t value;        /* the class that is looked for */
    int32_t runs_above;   /* runs of the row before */
    int32_t open;         /* regions that touch the row before */
    sw_run *above, *here;
    sw_region *table;     /* the open ones, then those that begin in this row */
    int32_t *parent;      /* union-find over `table` */
    int32_t *renamed;     /* new index of a root in the next row, or -1 */
} sw_scan;

/* Take `rows` rows, `stride` octets apart. Regions that no longer touch the row taken last are written to `closed`.
 * Stops before a row if fewer than width + 1 places are free in `closed`; *taken says how many rows were taken.
 * Returns the number of regions written, or SW_E_ARGUMENT. */
int64_t sw_regions_feed(sw_scan *scan, const uint8_t *labels, int64_t rows, int64_t stride, sw_region *closed,
                        int64_t capacity, int64_t *taken);

/* Close what is open: as a row without any pixel of the class. Needs capacity width + 1. */
int64_t sw_regions_finish(sw_scan *scan, sw_region *closed, int64_t capacity);

#endif
