/* The context code and the preview at their edges, in buffers of exactly the size that is promised. Part of test_core. */
#include "decl/codes.h"
#include "decl/context.h"
#include "decl/preview.h"
#include "drive.h"

static uint32_t noise(void)
{
    static uint32_t state = 2024;
    return (state = state * 1664525u + 1013904223u) >> 8;
}

static void one_map(int turn)
{
    static const int32_t widths[] = {1, 2, 7, 8, 9, 15, 16, 17, 33, 70, 200};
    const int32_t width = widths[noise() % 11], rows = 1 + (int32_t)(noise() % 20);
    const size_t count = (size_t)width * (size_t)rows, room = 20 * count + 8;
    const uint32_t classes = 1 + noise() % (turn % 3 ? 4 : 256), step = 1 + noise() % 9;
    uint8_t *pixels = octets(count), *again = octets(count), *out = octets(room);
    uint64_t counts[256] = {0}, counts_again[256] = {0};
    void *state = octets(sw_context_size(width));
    size_t where;
    for (size_t i = 0; i < count; i++)
        pixels[i] = i % step && i ? pixels[i - 1] : (uint8_t)(noise() % classes);
    REQUIRE(sw_context_begin(state, width) == SW_OK);
    for (int32_t row = 0; row < rows; row++)
        REQUIRE(sw_context_feed(state, pixels + (size_t)row * (size_t)width, 1, counts, out, room) >= 0);
    const int64_t length = sw_context_end(state, out, room);
    REQUIRE(length >= 0);
    uint8_t *exact = octets((size_t)length);
    memcpy(exact, out, (size_t)length);
    REQUIRE(sw_context_decode(state, exact, (size_t)length, again, width, rows, counts_again, &where) == 0);
    REQUIRE(memcmp(again, pixels, count) == 0 && memcmp(counts, counts_again, sizeof counts) == 0);
    for (int wrong = 0; wrong < 4; wrong++) { /* damaged, or cut short: any end will do, within the buffers */
        if (length > 0)
            exact[noise() % (size_t)length] ^= (uint8_t)(1u << noise() % 8);
        const size_t shorter = length > 0 ? noise() % ((size_t)length + 1) : 0;
        const int fault = sw_context_decode(state, exact, shorter, again, width, rows, counts_again, &where);
        REQUIRE(fault >= 0 && fault <= SW_CONTEXT_ENDING && where <= shorter);
    }
    if (length > 0) { /* one octet too little room */
        uint8_t *tight = octets((size_t)length - 1);
        REQUIRE(sw_context_begin(state, width) == SW_OK);
        sw_context_feed(state, pixels, rows, counts, tight, (size_t)length - 1);
        REQUIRE(sw_context_end(state, tight, (size_t)length - 1) == SW_E_SPACE);
        free(tight);
    }
    const int32_t factor = 1 + (int32_t)(noise() % 9), squares = (width + factor - 1) / factor, slots = 4;
    uint32_t *votes = octets((size_t)squares * (size_t)slots * sizeof *votes);
    uint8_t *smaller = octets((size_t)squares);
    memset(votes, 0, (size_t)squares * (size_t)slots * sizeof *votes);
    REQUIRE(sw_preview_vote(pixels, rows, width, factor, slots, votes) == SW_OK);
    REQUIRE(sw_preview_elect(votes, squares, slots, smaller) == SW_OK);
    for (int32_t i = 0; i < squares; i++)
        REQUIRE(smaller[i] < slots - 1 || smaller[i] == 255);
    free(smaller);
    free(votes);
    free(exact);
    free(state);
    free(out);
    free(again);
    free(pixels);
}

void drive_context(void)
{
    for (int turn = 0; turn < 600; turn++)
        one_map(turn);
    REQUIRE(sw_context_size(0) == 0 && sw_context_size(SW_CONTEXT_WIDTH_MAX + 1) == 0);
    uint64_t counts[256];
    size_t where;
    REQUIRE(sw_context_begin(counts, 0) == SW_E_ARGUMENT);
    REQUIRE(sw_context_decode(counts, NULL, 0, NULL, 0, 0, counts, &where) == SW_E_ARGUMENT);
    REQUIRE(sw_preview_vote(NULL, 1, 0, 1, 1, NULL) == SW_E_ARGUMENT);
    REQUIRE(sw_preview_elect(NULL, 1, SW_PREVIEW_SLOTS_MAX + 1, NULL) == SW_E_ARGUMENT);
}
