/* The run-length code of class map strips: canonical, one pass, no memory of its own. */
#include "decl/mask.h"

#include "changes.h"
#include "decl/codes.h"

#include <string.h>

#define NO_CLASS 256 /* before the first run, and before the second */

/* The encoder between two runs. */
typedef struct {
    uint8_t *out;
    size_t capacity, written;
    int current, before; /* classes */
} writer;

SW_INLINE int put_run(writer *w, size_t length, int class_value, uint64_t *counts)
{
    const int named = class_value != w->before;
    uint64_t token = 2 * (uint64_t)(length - 1) + (uint64_t)named;
    counts[class_value] += length;
    w->before = w->current;
    w->current = class_value;
    if (!named && token < 1u << 14 && w->capacity - w->written >= 2) { /* nearly all: one or two octets, no branch */
        const unsigned more = token > 0x7Fu;
        w->out[w->written] = (uint8_t)((token & 0x7Fu) | more << 7);
        w->out[w->written + 1] = (uint8_t)(token >> 7);
        w->written += 1 + more;
        return 1;
    }
    do {
        if (w->written == w->capacity)
            return 0;
        w->out[w->written++] = (uint8_t)((token & 0x7Fu) | (token > 0x7Fu ? 0x80u : 0u));
        token >>= 7;
    } while (token);
    if (named) {
        if (w->written == w->capacity)
            return 0;
        w->out[w->written++] = (uint8_t)class_value;
    }
    return 1;
}

int64_t sw_mask_encode(const uint8_t *pixels, size_t count, uint8_t *out, size_t capacity, uint64_t *counts)
{
    uint16_t at[CHANGES_ROOM];
    writer w = {out, capacity, 0, NO_CLASS, NO_CLASS};
    size_t start = 0;
    if (count == 0)
        return 0;
    for (size_t block = 1; block < count; block += CHANGES_BLOCK) {
        const size_t here = count - block < CHANGES_BLOCK ? count - block : CHANGES_BLOCK;
        const size_t many = changes(pixels + block, here, at);
        for (size_t i = 0; i < many; i++) {
            const size_t end = block + at[i];
            if (!put_run(&w, end - start, pixels[start], counts))
                return SW_E_SPACE;
            start = end;
        }
    }
    return put_run(&w, count - start, pixels[start], counts) ? (int64_t)w.written : SW_E_SPACE;
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
