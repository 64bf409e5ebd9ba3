#ifndef SWATH_DECL_GATE_H
#define SWATH_DECL_GATE_H

#include <stdint.h>

#define SW_GATE_BANDS_MAX 16384 /* sums over the bands of a pixel fit 32 bits */

enum { SW_GATE_U8 = 0, SW_GATE_U16 = 1, SW_GATE_I16 = 2, SW_GATE_F32 = 3 };

/* Which samples to look at: rows * cols pixels in `bands` bands. Strides are in samples, from one looked-at row and
 * column to the next; band_stride from one band of the window to the next. */
typedef struct {
    int32_t sample; /* SW_GATE_* */
    int32_t bands;  /* 1.. */
    const int32_t *band;
    int64_t rows, cols; /* 1.. */
    int64_t row_stride, col_stride, band_stride;
    int32_t has_nodata, has_bright;
    double nodata;
    double bright; /* a pixel is bright whose mean over the bands is at least this */
} sw_gate;

/* What was seen. Of valid pixels, but `nodata`. */
typedef struct {
    int64_t nodata; /* pixels where a band is not a number or all bands are nodata */
    int64_t bright;
} sw_gate_counts;

/* Look. minimum, maximum, total: `bands` each; +inf, -inf and 0 where no pixel is valid. Totals of integers are exact;
 * those of floats are added in an order that depends on rows and cols alone. Never allocates.
 * Returns SW_OK or SW_E_ARGUMENT. */
int sw_gate_look(const void *samples, const sw_gate *gate, double *minimum, double *maximum, double *total,
                 sw_gate_counts *counts);

#endif
