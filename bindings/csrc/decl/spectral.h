#ifndef SWATH_DECL_SPECTRAL_H
#define SWATH_DECL_SPECTRAL_H

#include <stdint.h>

#define SW_SPECTRA_BANDS_MAX 1024
#define SW_SPECTRA_PIXELS 32 /* spectra in `room` at a time */
#define SW_SPECTRA_LANES 8   /* rows of matrices and of `room` are padded to multiples of it */

enum { SW_SPECTRA_U8 = 0, SW_SPECTRA_U16 = 1, SW_SPECTRA_I16 = 2, SW_SPECTRA_F32 = 3 };

/* Spectra in memory: rows * cols pixels in `bands` bands; strides in samples. A pixel is not valid where a band is not
 * finite or all bands are nodata. */
typedef struct {
    int32_t sample; /* SW_SPECTRA_* */
    int32_t bands;  /* 1..SW_SPECTRA_BANDS_MAX */
    const int32_t *band;
    int64_t rows, cols;
    int64_t row_stride, col_stride, band_stride;
    int32_t has_nodata;
    double nodata;
    const double *origin; /* per band: subtracted from every sample */
    double *room;         /* SW_SPECTRA_PIXELS spectra of `bands` padded to lanes */
} sw_spectra;

/* Add d = sample - origin of every valid pixel to sum, and d_i * d_j to products (rows padded to lanes; j >= i is of
 * meaning, what lies below may be written to). Each number is added to in raster order, pixel by pixel, rounded after
 * every step: the same bits on every machine, for every layout, however the rows are split over calls.
 * Returns the valid pixels, or SW_E_ARGUMENT. Never allocates. */
int64_t sw_spectra_add(const void *samples, const sw_spectra *spectra, double *sum, double *products);

/* out[row * cols + col] = (sum of above_b * d_b + above_shift) / (sum of below_b * d_b + below_shift), or the first sum
 * alone where below is NULL; not a number where the pixel is not valid or the divisor is 0. above, below: padded with
 * zeros. A sum is that of eight sums over every eighth band: ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
 * Returns the valid pixels, or SW_E_ARGUMENT. Never allocates. */
int64_t sw_spectra_weigh(const void *samples, const sw_spectra *spectra, const double *above, double above_shift,
                         const double *below, double below_shift, float *out);

#endif
