/* sw_context_decode and the encoder: what decodes is the one encoding of its content, and every content has one.
 * Input: mode (0 decode what follows; 1 encode it; 2 encode it, damage the code, decode that), width, rows, then the code,
 * or for 2 the damage, and the pixels. */
#include "decl/context.h"

#include "decl/codes.h"
#include "harness.h"

enum { WIDE = 4090, DAMAGE = 4 };

/* A state for each width, of exactly its size, with whatever the input before left in it: making one takes longer than
 * most inputs do. */
static void *state_for(int32_t width)
{
    static void *kept[WIDE + 512];
    REQUIRE(width > 0 && (size_t)width < sizeof kept / sizeof kept[0]);
    if (!kept[width])
        kept[width] = exactly(sw_context_size(width));
    return kept[width];
}

/* No pixel takes more than 13 decisions of 12 bits at most, and the end 4 octets. */
static size_t room_for(int32_t width, int64_t rows)
{
    return 4 + 20 * (size_t)(width * rows);
}

static void require_counts(const uint8_t *pixels, size_t count, const uint64_t *counts)
{
    uint64_t expected[256] = {0};
    for (size_t i = 0; i < count; i++)
        expected[pixels[i]]++;
    REQUIRE(equal(counts, expected, sizeof expected));
}

/* The code of the pixels into `out`, `step` rows a call. */
static int64_t encode(const uint8_t *pixels, int32_t width, int64_t rows, int64_t step, uint8_t *out, size_t capacity)
{
    uint64_t counts[256] = {0};
    void *state = state_for(width);
    int64_t made = 0;
    REQUIRE(sw_context_begin(state, width) == SW_OK);
    for (int64_t row = 0, here; row < rows && made >= 0; row += here) {
        here = step < rows - row ? step : rows - row;
        uint8_t *some = copy_of(pixels + row * width, (size_t)(here * width));
        const int64_t now = sw_context_feed(state, some, here, counts, out, capacity);
        REQUIRE(now == SW_E_SPACE || (now >= made && now <= (int64_t)capacity));
        made = now;
        free(some);
    }
    const int64_t ended = sw_context_end(state, out, capacity);
    REQUIRE(ended == SW_E_SPACE || (made >= 0 && ended >= 0 && ended <= (int64_t)capacity));
    if (ended >= 0)
        require_counts(pixels, (size_t)(rows * width), counts);
    return ended;
}

static int decode(const uint8_t *code, size_t length, uint8_t *out, int32_t width, int64_t rows)
{
    uint64_t counts[256] = {0};
    size_t where = 0;
    void *state = state_for(width);
    const int fault = sw_context_decode(state, code, length, out, width, rows, counts, &where);
    REQUIRE((fault == 0 || fault == SW_CONTEXT_NOT_ONE || fault == SW_CONTEXT_ENDING) && where <= length);
    if (fault == 0)
        require_counts(out, (size_t)(rows * width), counts);
    return fault;
}

static void decode_any(const uint8_t *code, size_t length, int32_t width, int64_t rows)
{
    uint8_t *pixels = exactly((size_t)(width * rows));
    if (decode(code, length, pixels, width, rows) == 0) {
        const size_t most = room_for(width, rows); /* zeros at the end are written and taken back */
        uint8_t *again = exactly(most);
        REQUIRE(encode(pixels, width, rows, rows > 0 ? rows : 1, again, most) == (int64_t)length);
        REQUIRE(equal(again, code, length));
        free(again);
    }
    free(pixels);
}

static void encode_any(input *from, int32_t width, int64_t rows, int damaged)
{
    const uint64_t where = take(from, damaged ? DAMAGE : 0), what = take(from, damaged ? DAMAGE : 0);
    const unsigned kinds = (unsigned)take(from, 1), step = 1 + (unsigned)take(from, 1) % 8;
    const size_t count = (size_t)(width * rows), most = room_for(width, rows);
    uint8_t *pixels = exactly(count), *room = exactly(most);
    for (size_t i = 0; i < count; i++) { /* two pixels an octet, of few classes or of all; 0 behind the last */
        const uint8_t octet = i / 2 < from->left ? from->at[i / 2] : 0;
        const uint8_t half = i % 2 ? octet >> 4 : octet & 15;
        pixels[i] = kinds % 4 == 0 ? half & 1 : kinds % 4 == 1 ? half : kinds % 4 == 2 ? half & 3 : octet;
    }
    const int64_t length = encode(pixels, width, rows, step, room, most);
    REQUIRE(length >= 0);
    uint8_t *code = copy_of(room, (size_t)length);
    if (damaged) {
        for (unsigned i = 0; i < DAMAGE && length > 0; i++)
            code[(where >> 8 * i & 0xFF) % (size_t)length] ^= (uint8_t)(what >> 8 * i);
        decode_any(code, (size_t)length, width, rows);
    } else {
        uint8_t *again = exactly(count);
        REQUIRE(decode(code, (size_t)length, again, width, rows) == 0 && equal(again, pixels, count));
        if (length > 0 && kinds >= 240) { /* not every time */
            uint8_t *less = exactly((size_t)length - 1);
            REQUIRE(encode(pixels, width, rows, step, less, (size_t)length - 1) == SW_E_SPACE);
            free(less);
        }
        free(again);
    }
    free(code);
    free(room);
    free(pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const unsigned mode = (unsigned)take(&from, 1) % 3;
    const unsigned about_width = (unsigned)take(&from, 1), about_rows = (unsigned)take(&from, 1);
    /* stretches longer than the longest one of one decision; what is no code takes long there, so it comes seldom */
    const int is_wide = about_width == 255 && (mode == 1 || about_rows == 255);
    const int32_t width = 1 + (int32_t)(is_wide ? WIDE + about_width : about_width % 16);
    const int64_t rows = is_wide ? 2 : about_rows % 9;
    if (mode == 0) {
        size_t length;
        uint8_t *code = rest_of(&from, &length);
        decode_any(code, length, width, rows);
        free(code);
    } else {
        encode_any(&from, width, rows, mode == 2);
    }
    REQUIRE(sw_context_begin(NULL, -(int32_t)about_width) == SW_E_ARGUMENT);
    REQUIRE(sw_context_begin(NULL, SW_CONTEXT_WIDTH_MAX + 1 + (int32_t)about_width) == SW_E_ARGUMENT);
    return 0;
}
