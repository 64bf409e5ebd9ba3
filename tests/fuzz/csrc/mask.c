/* sw_mask_decode and sw_mask_encode: what decodes is the one encoding of its content, and every content has one.
 * Input: bit 0 of the first octet: 0 decode what follows, 1 encode it; pixels to decode (2 octets); code or pixels. */
#include "decl/mask.h"

#include "decl/codes.h"
#include "harness.h"

static void require_counts(const uint8_t *pixels, size_t count, const uint64_t *counts)
{
    uint64_t expected[256] = {0};
    for (size_t i = 0; i < count; i++)
        expected[pixels[i]]++;
    REQUIRE(equal(counts, expected, sizeof expected));
}

static void encode_any(const uint8_t *pixels, size_t count)
{
    uint64_t counts[256] = {0}, counts_again[256] = {0}, of_no_meaning[256] = {0};
    size_t where = 0;
    uint8_t *most = exactly(2 * count), *again = exactly(count);
    const int64_t length = sw_mask_encode(pixels, count, most, 2 * count, counts);
    REQUIRE(length >= 0 && length <= (int64_t)(2 * count));
    require_counts(pixels, count, counts);
    uint8_t *code = exactly((size_t)length), *short_one = exactly(length > 0 ? (size_t)length - 1 : 0);
    REQUIRE(sw_mask_encode(pixels, count, code, (size_t)length, of_no_meaning) == length);
    REQUIRE(equal(code, most, (size_t)length));
    if (length > 0)
        REQUIRE(sw_mask_encode(pixels, count, short_one, (size_t)length - 1, of_no_meaning) == SW_E_SPACE);
    REQUIRE(sw_mask_decode(code, (size_t)length, again, count, counts_again, &where) == 0);
    REQUIRE(where == (size_t)length && equal(again, pixels, count) && equal(counts, counts_again, sizeof counts));
    free(short_one);
    free(code);
    free(again);
    free(most);
}

static void decode_any(const uint8_t *code, size_t length, size_t count)
{
    uint64_t counts[256] = {0}, counts_again[256] = {0};
    size_t where = 0;
    uint8_t *pixels = exactly(count);
    const int fault = sw_mask_decode(code, length, pixels, count, counts, &where);
    REQUIRE(fault >= 0 && fault <= SW_MASK_BEHIND && where <= length);
    if (fault == 0) {
        uint8_t *again = exactly(length);
        REQUIRE(where == length);
        require_counts(pixels, count, counts);
        REQUIRE(sw_mask_encode(pixels, count, again, length, counts_again) == (int64_t)length);
        REQUIRE(equal(again, code, length));
        free(again);
    }
    free(pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const int encode = (int)take(&from, 1) & 1;
    const size_t count = (size_t)take(&from, 2);
    size_t length;
    uint8_t *octets = rest_of(&from, &length);
    if (encode)
        encode_any(octets, length);
    else
        decode_any(octets, length, count);
    free(octets);
    return 0;
}
