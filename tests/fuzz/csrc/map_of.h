/* A small class map out of an input, and its connected parts by flooding: the plain way, for comparison. */
#ifndef SWATH_FUZZ_MAP_OF_H
#define SWATH_FUZZ_MAP_OF_H

#include "harness.h"

typedef struct {
    int64_t rows, cols, stride;
    uint8_t *pixels;
    size_t octets; /* of `pixels`: nothing follows the last row */
} map;

/* rows, cols `least` to `least` + 23, up to 7 octets between the rows; one bit a pixel of the octets, or one octet. */
static inline map map_of(input *from, int least)
{
    map made;
    made.rows = least + (int64_t)(take(from, 1) % 24);
    made.cols = least + (int64_t)(take(from, 1) % 24);
    const uint64_t kind = take(from, 1);
    made.stride = made.cols + (int64_t)(kind & 7);
    made.octets = made.rows > 0 ? (size_t)((made.rows - 1) * made.stride + made.cols) : 0;
    made.pixels = exactly(made.octets);
    for (int64_t i = 0; i < made.rows * made.cols; i++) {
        const size_t octet = (size_t)(kind & 8 ? i : i / 8);
        const int known = octet < from->left;
        const uint8_t value = kind & 8 ? (known ? from->at[octet] & 3 : 0) : (known ? from->at[octet] >> (i & 7) & 1 : 0);
        made.pixels[i / made.cols * made.stride + i % made.cols] = value;
    }
    return made;
}

/* Numbers the parts of one class from 0 in raster order of their first pixels, -1 elsewhere; returns how many.
 * neighbours 4 or 8. part and waiting: rows * cols. */
static inline int64_t flood(const map *im, uint8_t value, int neighbours, int32_t *part, int32_t *waiting)
{
    static const int down[] = {-1, 0, 0, 1, -1, -1, 1, 1}, right[] = {0, -1, 1, 0, -1, 1, -1, 1};
    int64_t parts = 0;
    for (int64_t i = 0; i < im->rows * im->cols; i++)
        part[i] = -1;
    for (int64_t i = 0; i < im->rows * im->cols; i++) {
        if (part[i] >= 0 || im->pixels[i / im->cols * im->stride + i % im->cols] != value)
            continue;
        int64_t held = 0;
        waiting[held++] = (int32_t)i, part[i] = (int32_t)parts;
        while (held > 0) {
            const int64_t at = waiting[--held];
            for (int n = 0; n < neighbours; n++) {
                const int64_t row = at / im->cols + down[n], col = at % im->cols + right[n];
                if (row < 0 || row >= im->rows || col < 0 || col >= im->cols || part[row * im->cols + col] >= 0
                    || im->pixels[row * im->stride + col] != value)
                    continue;
                part[row * im->cols + col] = (int32_t)parts;
                waiting[held++] = (int32_t)(row * im->cols + col);
            }
        }
        parts++;
    }
    return parts;
}

#endif
