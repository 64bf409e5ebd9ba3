/* Spectra of one type of samples as float64. Before it is included: SAMPLE, its SAMPLE_MIN and SAMPLE_MAX, NAME(x), and
 * for floats SAMPLE_IS_FLOAT. No include guard on purpose. */

#include "nodata_kernel.h"

/* `count` <= SW_SPECTRA_PIXELS pixels of a row into s->room, zeros for those that are not valid. */
SW_CLONES static void NAME(load)(const SAMPLE *from, const sw_spectra *s, int64_t count, uint8_t *valid)
{
    const int32_t bands = s->bands;
    const int64_t padded = padded_to_lanes(bands);
    int side_by_side = s->band_stride == 1;
    for (int32_t b = 0; b < bands; b++)
        side_by_side &= s->band[b] == s->band[0] + b;
    if (side_by_side)
        for (int64_t x = 0; x < count; x++) {
            const SAMPLE *restrict pixel = from + x * s->col_stride + s->band[0];
            double *restrict to = s->room + x * padded;
            for (int32_t b = 0; b < bands; b++)
                to[b] = (double)pixel[b] - s->origin[b];
        }
    else
        for (int32_t b = 0; b < bands; b++) {
            const SAMPLE *restrict plane = from + s->band[b] * s->band_stride;
            double *restrict to = s->room + b;
            for (int64_t x = 0; x < count; x++)
                to[x * padded] = (double)plane[x * s->col_stride] - s->origin[b];
        }
    SAMPLE nodata;
    const int any_nodata = NAME(has_nodata)(s->has_nodata, s->nodata, &nodata);
    for (int64_t x = 0; x < count; x++) {
        const SAMPLE *pixel = from + x * s->col_stride;
        double *to = s->room + x * padded;
        int blank = any_nodata;
        for (int32_t b = 0; b < bands && blank; b++) /* as a rule the first says no */
            blank = pixel[s->band[b] * s->band_stride] == nodata;
#ifdef SAMPLE_IS_FLOAT
        int64_t strange = 0; /* only of a number that is finite is the difference from itself 0 */
        for (int32_t b = 0; b < bands; b++)
            strange += !(to[b] - to[b] == 0);
        if (strange > 0)
            blank = 1;
#endif
        valid[x] = !blank;
        if (blank)
            for (int32_t b = 0; b < bands; b++)
                to[b] = 0;
        for (int64_t b = bands; b < padded; b++)
            to[b] = 0;
    }
}

#undef SAMPLE
#undef NAME
#undef SAMPLE_MAX
#undef SAMPLE_MIN
#undef SAMPLE_IS_FLOAT
