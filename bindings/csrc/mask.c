/* The run-length code of class map strips: canonical, one pass, no memory of its own. */
#include "decl/mask.h"

#include <string.h>

#include "decl/codes.h"

#define NO_CLASS 256 /* before the first run, and before the second */

static size_t run_end(const uint8_t *pixels, size_t start, size_t count)
{
    uint64_t pattern, found;
    size_t end = start + 1;
    memset(&pattern, pixels[start], sizeof pattern);
    for (; end + sizeof found <= count; end += sizeof found) {
        memcpy(&found, pixels + end, sizeof found);
        if (found != pattern)
            break;
    }
    while (end < count && pixels[end] == pixels[start])
        end++;
    return end;
}

int64_t sw_mask_encode(const uint8_t *pixels, size_t count, uint8_t *out, size_t capacity, uint64_t *counts)
{
    int current = NO_CLASS, before = NO_CLASS;
    size_t written = 0;
    for (size_t start = 0; start < count;) {
        size_t end = run_end(pixels, start, count);
        int class_value = pixels[start], named = class_value != before;
        uint64_t token = 2 * (uint64_t)(end - start - 1) + (uint64_t)named;
        do {
            if (written == capacity)
                return SW_E_SPACE;
            out[written++] = (uint8_t)((token & 0x7Fu) | (token > 0x7Fu ? 0x80u : 0u));
            token >>= 7;
        } while (token);
        if (named) {
            if (written == capacity)
                return SW_E_SPACE;
            out[written++] = (uint8_t)class_value;
        }
        counts[class_value] += end - start;
        before = current;
        current = class_value;
        start = end;
    }
    return (int64_t)written;
}

int sw_mask_decode(const uint8_t *octets, size_t length, uint8_t *out, size_t count, uint64_t *counts, size_t *where)
{
    int current = NO_CLASS, before = NO_CLASS;
    size_t at = 0, done = 0;
    while (done < count) {
        uint64_t token = 0;
        int class_value;
        *where = at;
        for (unsigned shift = 0;; shift += 7) {
            if (at == length)
                return SW_MASK_CUT_SHORT;
            if (shift > 56)
                return SW_MASK_NOT_SHORT;
            token |= (uint64_t)(octets[at] & 0x7Fu) << shift;
            if (!(octets[at++] & 0x80u)) {
                if (shift && !octets[at - 1])
                    return SW_MASK_NOT_SHORT;
                break;
            }
        }
        if (token >> 1 >= count - done)
            return SW_MASK_OVERRUN;
        if (token & 1u) {
            if (at == length)
                return SW_MASK_CUT_SHORT;
            class_value = octets[at++];
            if (class_value == current || class_value == before)
                return SW_MASK_NOT_ONE;
        } else {
            if (before == NO_CLASS)
                return SW_MASK_NOT_ONE;
            class_value = before;
        }
        size_t run = (size_t)(token >> 1) + 1;
        memset(out + done, class_value, run);
        counts[class_value] += run;
        done += run;
        before = current;
        current = class_value;
    }
    *where = at;
    return at == length ? 0 : SW_MASK_BEHIND;
}
