/* Algebra over the bands of a pixel, for a hundred bands and more: moments and weighted sums in float64. */
#include "decl/spectral.h"

#include "decl/codes.h"
#include "portable.h"

#include <math.h>
#include <stddef.h>

enum {
    LANES = SW_SPECTRA_LANES,
    ROWS = 4 /* of the matrix at a time: with eight columns its sums stay in registers */
};

SW_INLINE int64_t padded_to_lanes(int64_t bands)
{
    return (bands + LANES - 1) / LANES * LANES;
}

#define SAMPLE uint8_t
#define NAME(x) x##_u8
#define SAMPLE_MAX UINT8_MAX
#define SAMPLE_MIN 0
#include "spectral_kernel.h"

#define SAMPLE uint16_t
#define NAME(x) x##_u16
#define SAMPLE_MAX UINT16_MAX
#define SAMPLE_MIN 0
#include "spectral_kernel.h"

#define SAMPLE int16_t
#define NAME(x) x##_i16
#define SAMPLE_MAX INT16_MAX
#define SAMPLE_MIN INT16_MIN
#include "spectral_kernel.h"

#define SAMPLE float
#define NAME(x) x##_f32
#define SAMPLE_MAX INFINITY
#define SAMPLE_MIN (-INFINITY)
#define SAMPLE_IS_FLOAT 1
#include "spectral_kernel.h"

static int load(const void *samples, const sw_spectra *s, int64_t at, int64_t count, uint8_t *valid)
{
    switch (s->sample) {
    case SW_SPECTRA_U8: load_u8((const uint8_t *)samples + at, s, count, valid); return 1;
    case SW_SPECTRA_U16: load_u16((const uint16_t *)samples + at, s, count, valid); return 1;
    case SW_SPECTRA_I16: load_i16((const int16_t *)samples + at, s, count, valid); return 1;
    case SW_SPECTRA_F32: load_f32((const float *)samples + at, s, count, valid); return 1;
    default: return 0;
    }
}

static int makes_no_sense(const sw_spectra *s)
{
    return s->bands < 1 || s->bands > SW_SPECTRA_BANDS_MAX || s->rows < 0 || s->cols < 0 || s->row_stride < 0
           || s->col_stride < 0 || s->band_stride < 0 || s->sample < SW_SPECTRA_U8 || s->sample > SW_SPECTRA_F32;
}

/* ROWS x LANES of the matrix, from row i and column j; as many of its rows as there are. */
static void add_products(const double *room, int64_t padded, int64_t count, int64_t i, int64_t j, double *products)
{
    double sums[ROWS][LANES];
    const int64_t rows = padded - i < ROWS ? padded - i : ROWS;
    for (int64_t r = 0; r < rows; r++)
        for (int l = 0; l < LANES; l++)
            sums[r][l] = products[(i + r) * padded + j + l];
    for (int64_t x = 0; x < count; x++, room += padded)
        for (int64_t r = 0; r < rows; r++)
            for (int l = 0; l < LANES; l++)
                sums[r][l] += room[i + r] * room[j + l];
    for (int64_t r = 0; r < rows; r++)
        for (int l = 0; l < LANES; l++)
            products[(i + r) * padded + j + l] = sums[r][l];
}

#ifdef SW_AVX2
SW_FOR_AVX2 static void add_products_avx2(const double *room, int64_t padded, int64_t count, int64_t i, int64_t j,
                                          double *products)
{
    __m256d low[ROWS], high[ROWS];
    for (int r = 0; r < ROWS; r++) {
        low[r] = _mm256_loadu_pd(products + (i + r) * padded + j);
        high[r] = _mm256_loadu_pd(products + (i + r) * padded + j + 4);
    }
    for (int64_t x = 0; x < count; x++, room += padded) {
        const __m256d a = _mm256_loadu_pd(room + j), b = _mm256_loadu_pd(room + j + 4);
        for (int r = 0; r < ROWS; r++) {
            const __m256d d = _mm256_broadcast_sd(room + i + r);
            low[r] = _mm256_add_pd(low[r], _mm256_mul_pd(d, a));
            high[r] = _mm256_add_pd(high[r], _mm256_mul_pd(d, b));
        }
    }
    for (int r = 0; r < ROWS; r++) {
        _mm256_storeu_pd(products + (i + r) * padded + j, low[r]);
        _mm256_storeu_pd(products + (i + r) * padded + j + 4, high[r]);
    }
}
#endif

/* `products` has as many rows as columns, padded: LANES is a multiple of ROWS, so that no block is cut. */
SW_CLONES static void add_sums(const double *restrict room, int64_t padded, int64_t count, double *restrict sum)
{
    for (int64_t x = 0; x < count; x++, room += padded)
        for (int64_t b = 0; b < padded; b++)
            sum[b] += room[b];
}

int64_t sw_spectra_add(const void *samples, const sw_spectra *s, double *sum, double *products)
{
    uint8_t valid[SW_SPECTRA_PIXELS];
    int64_t found = 0;
    if (makes_no_sense(s))
        return SW_E_ARGUMENT;
    const int64_t padded = padded_to_lanes(s->bands);
    for (int64_t y = 0; y < s->rows; y++)
        for (int64_t x = 0, count; x < s->cols; x += count) {
            count = s->cols - x < SW_SPECTRA_PIXELS ? s->cols - x : SW_SPECTRA_PIXELS;
            load(samples, s, y * s->row_stride + x * s->col_stride, count, valid);
            for (int64_t i = 0; i < count; i++)
                found += valid[i];
            add_sums(s->room, padded, count, sum);
            for (int64_t i = 0; i < padded; i += ROWS)
                for (int64_t j = i / LANES * LANES; j < padded; j += LANES) {
#ifdef SW_AVX2
                    if (SW_HAS_AVX2) {
                        add_products_avx2(s->room, padded, count, i, j, products);
                        continue;
                    }
#endif
                    add_products(s->room, padded, count, i, j, products);
                }
        }
    return found;
}

/* Sum of weight_b * d_b for every spectrum in the room. */
SW_CLONES static void weigh(const double *restrict room, int64_t padded, int64_t count, const double *restrict weight,
                            double shift, double *restrict to)
{
    for (int64_t x = 0; x < count; x++, room += padded) {
        double sum[LANES] = {0};
        for (int64_t b = 0; b < padded; b += LANES)
            for (int l = 0; l < LANES; l++)
                sum[l] += weight[b + l] * room[b + l];
        to[x] = (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]))) + shift;
    }
}

int64_t sw_spectra_weigh(const void *samples, const sw_spectra *s, const double *above, double above_shift,
                         const double *below, double below_shift, float *out)
{
    uint8_t valid[SW_SPECTRA_PIXELS];
    double top[SW_SPECTRA_PIXELS], bottom[SW_SPECTRA_PIXELS];
    int64_t found = 0;
    if (makes_no_sense(s))
        return SW_E_ARGUMENT;
    const int64_t padded = padded_to_lanes(s->bands);
    for (int64_t y = 0; y < s->rows; y++)
        for (int64_t x = 0, count; x < s->cols; x += count) {
            float *to = out + y * s->cols + x;
            count = s->cols - x < SW_SPECTRA_PIXELS ? s->cols - x : SW_SPECTRA_PIXELS;
            load(samples, s, y * s->row_stride + x * s->col_stride, count, valid);
            weigh(s->room, padded, count, above, above_shift, top);
            if (below)
                weigh(s->room, padded, count, below, below_shift, bottom);
            for (int64_t i = 0; i < count; i++) {
                const int sure = valid[i] && (!below || bottom[i] != 0);
                to[i] = !sure ? NAN : below ? (float)(top[i] / bottom[i]) : (float)top[i];
                found += valid[i];
            }
        }
    return found;
}
