/* sw_lzw_decode against the textbook's decoder, which keeps a table of strings, and behind the textbook's encoder.
 * Input: capacity (2 octets), code. */
#include "decl/lzw.h"

#include "decl/codes.h"
#include "harness.h"

enum { CLEAR = 256, END = 257, FIRST_FREE = 258, ENTRIES = 4096, NONE = -1 };

typedef struct {
    int32_t before; /* the entry that this one is longer than, by one octet */
    uint8_t octet;
} entry;

static size_t spell(const entry *table, int32_t code, uint8_t *string)
{
    size_t length = 0;
    for (int32_t at = code; at != NONE; at = table[at].before)
        length++;
    size_t place = length;
    for (int32_t at = code; at != NONE; at = table[at].before)
        string[--place] = table[at].octet;
    return length;
}

static int next_code(const uint8_t *octets, size_t length, size_t *bit, unsigned width)
{
    int code = 0;
    if (*bit + width > 8 * length)
        return NONE;
    for (unsigned i = 0; i < width; i++, ++*bit)
        code = code << 1 | (octets[*bit / 8] >> (7 - *bit % 8) & 1);
    return code;
}

static int textbook_decode(const uint8_t *octets, size_t length, uint8_t *out, size_t capacity, size_t *made,
                           int32_t *fault_code)
{
    static entry table[ENTRIES];
    static uint8_t string[ENTRIES + 1];
    for (int32_t i = 0; i < CLEAR; i++)
        table[i] = (entry){NONE, (uint8_t)i};
    size_t bit = 0;
    int32_t count = FIRST_FREE, previous = NONE;
    unsigned width = 9;
    *made = 0, *fault_code = 0;
    if (length >= 2 && octets[0] == 0 && octets[1] & 1)
        return SW_LZW_REVERSED;
    while (*made < capacity) {
        const int32_t code = next_code(octets, length, &bit, width);
        if (code == NONE || code == END)
            return 0;
        if (code == CLEAR) {
            count = FIRST_FREE, previous = NONE, width = 9;
            continue;
        }
        if (code > CLEAR && (previous == NONE || code > count)) {
            *fault_code = code;
            return previous == NONE ? SW_LZW_NO_LITERAL : SW_LZW_NO_ENTRY;
        }
        size_t size = spell(table, code == count ? previous : code, string);
        if (code == count) {
            string[size] = string[0];
            size++;
        }
        for (size_t i = 0; i < size && *made < capacity; i++)
            out[(*made)++] = string[i];
        if (previous != NONE && count < ENTRIES) {
            table[count++] = (entry){previous, string[0]};
            if (count == 511 || count == 1023 || count == 2047)
                width++;
        }
        previous = code;
    }
    return 0;
}

typedef struct {
    uint8_t *octets;
    size_t bits;
} writer;

static void put(writer *to, uint32_t code, unsigned width)
{
    for (unsigned i = width; i-- > 0; to->bits++) {
        if (to->bits % 8 == 0)
            to->octets[to->bits / 8] = 0;
        to->octets[to->bits / 8] |= (uint8_t)((code >> i & 1u) << (7 - to->bits % 8));
    }
}

/* At most 12 bits an octet, a clear for every 3,000, and an end. */
static size_t textbook_encode(const uint8_t *octets, size_t count, uint8_t *out)
{
    static int16_t follower[ENTRIES][256]; /* the entry for a string and one octet more; 0: there is none */
    int32_t free_code = FIRST_FREE, string = NONE;
    unsigned width = 9;
    writer to = {out, 0};
    memset(follower, 0, sizeof follower);
    put(&to, CLEAR, width);
    for (size_t i = 0; i < count; i++) {
        if (string != NONE && follower[string][octets[i]]) {
            string = follower[string][octets[i]];
            continue;
        }
        if (string != NONE) {
            put(&to, (uint32_t)string, width);
            follower[string][octets[i]] = (int16_t)free_code++;
            if (free_code == 4094) {
                put(&to, CLEAR, width);
                memset(follower, 0, sizeof follower);
                free_code = FIRST_FREE, width = 9;
            } else if (free_code == 512 || free_code == 1024 || free_code == 2048) {
                width++;
            }
        }
        string = octets[i];
    }
    if (string != NONE) {
        put(&to, (uint32_t)string, width);
        if (free_code + 1 == 512 || free_code + 1 == 1024 || free_code + 1 == 2048)
            width++;
    }
    put(&to, END, width);
    return (to.bits + 7) / 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const size_t capacity = (size_t)take(&from, 2);
    size_t length, made = 0, made_there = 0, made_again = 0;
    int32_t fault_code = 0, fault_code_there = 0;
    uint8_t *octets = rest_of(&from, &length), *out = exactly(capacity), *there = exactly(capacity);

    const int fault = sw_lzw_decode(octets, length, out, capacity, &made, &fault_code);
    const int fault_there = textbook_decode(octets, length, there, capacity, &made_there, &fault_code_there);
    REQUIRE(fault == fault_there && made == made_there && fault_code == fault_code_there);
    REQUIRE(made <= capacity && equal(out, there, made));

    uint8_t *half = exactly(made / 2); /* less room: the same octets, as far as they go */
    if (made > 1) {
        REQUIRE(sw_lzw_decode(octets, length, half, made / 2, &made_again, &fault_code) == 0);
        REQUIRE(made_again == made / 2 && equal(half, out, made_again));
    }
    if (size % 8 == 0) { /* the table of the encoder is large: not every time */
        uint8_t *code = exactly(2 * made + 16), *again = exactly(made);
        const size_t coded = textbook_encode(out, made, code);
        uint8_t *exact = copy_of(code, coded);
        REQUIRE(sw_lzw_decode(exact, coded, again, made, &made_again, &fault_code) == 0);
        REQUIRE(made_again == made && equal(again, out, made));
        free(exact);
        free(again);
        free(code);
    }
    free(half);
    free(there);
    free(out);
    free(octets);
    return 0;
}
