/* TIFF LZW, decoded without a string table: every entry is the one before it in the output and one octet more, so an
 * entry is a place in what was already written and a length. */
#include "decl/lzw.h"

#include <string.h>

#include "decl/codes.h"

#define CLEAR 256u
#define END 257u
#define FIRST_FREE 258u
#define ENTRIES 4096u
#define SHORT_COPY 16u

int sw_lzw_decode(const uint8_t *octets, size_t length, uint8_t *out, size_t capacity, size_t *made,
                  int32_t *fault_code)
{
    struct {
        uint32_t start;
        uint32_t length;
    } entry[ENTRIES];
    uint64_t held = 0; /* the lowest `bits` bits are not taken yet */
    uint32_t free_code = FIRST_FREE, width = 9, bits = 0;
    size_t at = 0, done = 0, previous = 0, previous_length = 0; /* length 0: right after a clear */
    *made = 0;
    *fault_code = 0;
    if (capacity > UINT32_MAX)
        return SW_E_ARGUMENT;
    if (length >= 2 && octets[0] == 0 && octets[1] & 1u)
        return SW_LZW_REVERSED;
    while (done < capacity) {
        while (bits < width && at < length) {
            held = held << 8 | octets[at++];
            bits += 8;
        }
        if (bits < width)
            break;
        bits -= width;
        const uint32_t code = (uint32_t)(held >> bits) & ((1u << width) - 1);
        if (code == CLEAR) {
            free_code = FIRST_FREE;
            width = 9;
            previous_length = 0;
            continue;
        }
        if (code == END)
            break;
        size_t from, count; /* of the string that the code stands for */
        if (code < CLEAR) {
            from = done;
            count = 1;
            out[done] = (uint8_t)code;
        } else if (previous_length == 0 || code > free_code) {
            *made = done;
            *fault_code = (int32_t)code;
            return previous_length == 0 ? SW_LZW_NO_LITERAL : SW_LZW_NO_ENTRY;
        } else {
            const int is_new = code == free_code; /* the one before it and its own first octet, which lies behind it */
            const size_t room = capacity - done;
            from = is_new ? previous : entry[code].start;
            count = is_new ? previous_length + 1 : entry[code].length;
            const size_t taken = count < room ? count : room;
            if (count <= SHORT_COPY && room >= SHORT_COPY && done - from >= SHORT_COPY) {
                memcpy(out + done, out + from, SHORT_COPY); /* a fixed size is quick; the rest is written over */
            } else if (done - from >= taken) {
                memcpy(out + done, out + from, taken);
            } else {
                for (size_t i = 0; i < taken; i++)
                    out[done + i] = out[from + i];
            }
        }
        if (previous_length && free_code < ENTRIES) {
            entry[free_code].start = (uint32_t)previous;
            entry[free_code].length = (uint32_t)previous_length + 1;
            free_code++;
            if (free_code == 511 || free_code == 1023 || free_code == 2047)
                width++;
        }
        previous = done;
        previous_length = count;
        done += count < capacity - done ? count : capacity - done;
    }
    *made = done;
    return 0;
}
