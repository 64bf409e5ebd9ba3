/* A class map made smaller by majority. */
#include "decl/preview.h"

#include <string.h>

#include "decl/codes.h"

static void vote(const uint8_t *pixels, int32_t count, int32_t slots, uint32_t *votes)
{
    for (int32_t at = 0; at < count;) {
        const uint8_t value = pixels[at];
        int32_t end = at + 1;
        while (end < count && pixels[end] == value)
            end++;
        votes[value < slots - 1 ? value : slots - 1] += (uint32_t)(end - at);
        at = end;
    }
}

int sw_preview_vote(const uint8_t *rows, int64_t count, int32_t width, int32_t factor, int32_t slots, uint32_t *votes)
{
    if (width < 1 || factor < 1 || slots < 1 || slots > SW_PREVIEW_SLOTS_MAX || count < 0)
        return SW_E_ARGUMENT;
    for (int64_t row = 0; row < count; row++) {
        const uint8_t *pixels = rows + (size_t)row * (size_t)width;
        uint32_t *square = votes;
        for (int32_t at = 0; at < width; square += slots) {
            const int32_t wide = width - at < factor ? width - at : factor;
            vote(pixels + at, wide, slots, square);
            at += wide;
        }
    }
    return SW_OK;
}

int sw_preview_elect(uint32_t *votes, int32_t squares, int32_t slots, uint8_t *out)
{
    if (squares < 0 || slots < 1 || slots > SW_PREVIEW_SLOTS_MAX)
        return SW_E_ARGUMENT;
    for (int32_t i = 0; i < squares; i++, votes += slots) {
        int32_t best = 0;
        for (int32_t slot = 1; slot < slots; slot++)
            if (votes[slot] > votes[best])
                best = slot;
        out[i] = best < slots - 1 ? (uint8_t)best : 255;
        memset(votes, 0, (size_t)slots * sizeof *votes);
    }
    return SW_OK;
}
