/* sw_runs_find against the plain way, and less room than there are runs. Input: row length, pixels of few classes. */
#include "decl/runs.h"

#include "decl/codes.h"
#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const size_t row = (size_t)take(&from, 2) % 600, mask = (size_t)take(&from, 1);
    size_t count, runs = 0;
    uint8_t *pixels = rest_of(&from, &count);
    for (size_t i = 0; i < count; i++)
        pixels[i] &= mask % 4 == 0 ? 1 : mask % 4 == 1 ? 0x81 : 0xFF;
    uint32_t *lengths = exactly(count * sizeof *lengths), *expected = exactly(count * sizeof *expected);
    uint8_t *values = exactly(count), *of = exactly(count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && pixels[i] == pixels[i - 1] && (row == 0 || i % row != 0))
            expected[runs - 1]++;
        else
            expected[runs] = 1, of[runs++] = pixels[i];
    }
    REQUIRE(sw_runs_find(pixels, count, row, lengths, values, count) == (int64_t)runs);
    REQUIRE(equal(lengths, expected, runs * sizeof *lengths) && equal(values, of, runs));
    uint32_t *fit = exactly(runs * sizeof *fit);
    uint8_t *fit_values = exactly(runs);
    REQUIRE(sw_runs_find(pixels, count, row, fit, fit_values, runs) == (int64_t)runs);
    const size_t less = runs > 0 ? mask % runs : 0;
    uint32_t *few = exactly(less * sizeof *few);
    uint8_t *few_values = exactly(less);
    if (runs > 0)
        REQUIRE(sw_runs_find(pixels, count, row, few, few_values, less) == SW_E_SPACE);
    if (SIZE_MAX > UINT32_MAX)
        REQUIRE(sw_runs_find(NULL, (size_t)UINT32_MAX + 1 + mask, row, NULL, NULL, 0) == SW_E_ARGUMENT);
    free(few_values);
    free(few);
    free(fit_values);
    free(fit);
    free(of);
    free(values);
    free(expected);
    free(lengths);
    free(pixels);
    return 0;
}
