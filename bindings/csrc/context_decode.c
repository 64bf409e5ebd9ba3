/* The decoder of the context code. Whatever the octets say, each pixel is written once, in its turn. */
#include "decl/context.h"

#include "context_model.h"
#include "decl/codes.h"

typedef struct {
    uint32_t code, range; /* code: how far the octets' number lies above the encoder's low end */
    uint32_t low;         /* that end, its last 32 bits: tells how the encoder ended */
    const uint8_t *octets;
    size_t length, at;
    int wrong;
} coder;

static void take_octet(coder *c)
{
    c->range <<= 8;
    c->low <<= 8;
    c->code = c->code << 8 | (c->at < c->length ? c->octets[c->at] : 0);
    c->at++;
}

SW_INLINE void take_octets(coder *c)
{
    while (c->range < 1u << 24)
        take_octet(c);
}

SW_INLINE int take_bit(coder *c, uint32_t chance_of_one)
{
    const uint32_t ones = (uint32_t)((uint64_t)c->range * chance_of_one >> 16), zeros = c->range - ones;
    const int bit = c->code >= zeros;
    if (bit) {
        c->code -= zeros;
        c->low += zeros;
        c->range = ones;
    } else {
        c->range = zeros;
    }
    take_octets(c);
    return bit;
}

SW_INLINE int take(coder *c, uint32_t *counter)
{
    const int bit = take_bit(c, chance(*counter));
    learn(counter, bit);
    return bit;
}

static int32_t take_place(coder *c, int32_t places)
{
    c->range /= (uint32_t)places;
    uint32_t place = c->code / c->range;
    if (place >= (uint32_t)places) {
        c->wrong = 1;
        place = 0;
        c->code = 0;
    }
    c->code -= place * c->range;
    c->low += place * c->range;
    take_octets(c);
    return (int32_t)place;
}

static uint8_t take_class(coder *c, context_model *model, uint8_t left)
{
    if (!take(c, &model->unusual))
        return model->beside[left];
    unsigned node = 1;
    while (node < 256)
        node = node << 1 | (unsigned)take(c, &model->value[node]);
    const uint8_t value = (uint8_t)node;
    if (value == model->beside[left] || value == left)
        c->wrong = 1;
    return value;
}

static uint8_t take_other(coder *c, context_model *model, const uint8_t *one, const uint8_t *two, uint8_t left,
                          uint8_t left2, int rows_above)
{
    candidates found;
    find_candidates(&found, one, two, left, left2, rows_above);
    for (int i = 0; i < found.count; i++)
        if (!take(c, &model->next[found.counter[i]]))
            return found.value[i];
    const uint8_t value = take_class(c, model, left);
    for (int i = 0; i < found.count; i++)
        if (value == found.value[i])
            c->wrong = 1;
    return value;
}

SW_INLINE void decode_row(coder *c, context_model *model, uint8_t *row, const uint8_t *one, const uint8_t *two,
                          int32_t width, uint64_t *counts, int rows_above)
{
    uint8_t left = rows_above ? one[0] : 0, left2 = left, left3 = left;
    for (int32_t x = 0; x < width;) {
        const uint32_t pattern = neighbour_pattern(one + x, two + x, left, left2, left3, rows_above);
        if (rows_above && pattern == ALL_ALIKE) {
            const int32_t length = flat_stretch(one, two, x, width, left, rows_above);
            const int broken = take(c, &model->broken[length_class(length)]);
            const int32_t same = broken ? take_place(c, length) : length;
            memset(row + x, left, (size_t)same);
            counts[left] += (uint64_t)same;
            x += same;
            if (!broken)
                continue;
            const uint8_t found = take_class(c, model, left);
            left3 = left2 = left;
            model->beside[left] = found, model->beside[found] = left;
            left = found;
        } else {
            uint32_t *alike = &model->alike[pattern];
            const uint32_t above = rows_above ? one[x] : left;
            uint32_t *classed = &model->classed[(pattern & CORE) << 6 | (above & 7u) << 3 | (left & 7u)];
            const int differs = take_bit(c, mean_chance(*alike, *classed));
            learn(alike, differs);
            learn(classed, differs);
            left3 = left2, left2 = left;
            if (differs) {
                const uint8_t value = take_other(c, model, one + x, two + x, left, left3, rows_above);
                model->beside[left] = value, model->beside[value] = left;
                left = value;
            }
        }
        row[x++] = left;
        counts[left]++;
    }
}

/* Whether the octets end as the encoder ends them: the shortest number in its last range, and no zero behind it. */
static int ends_well(const coder *c)
{
    if (c->length > c->at || (c->length > 0 && c->octets[c->length - 1] == 0))
        return 0;
    for (unsigned octets = 0; octets <= 4; octets++) {
        const uint32_t mask = octets ? 0xFFFFFFFFu >> (8 * octets - 1) >> 1 : 0xFFFFFFFFu;
        const uint32_t step = (0 - c->low) & mask;
        if (step < c->range)
            return step == c->code;
    }
    return 0;
}

int sw_context_decode(void *state, const uint8_t *octets, size_t length, uint8_t *out, int32_t width, int64_t rows,
                      uint64_t *counts, size_t *where)
{
    context_state *s = state;
    if (sw_context_begin(state, width) != SW_OK)
        return SW_E_ARGUMENT;
    coder c = {0, 0, 0, octets, length, 0, 0};
    for (int i = 0; i < 4; i++)
        take_octet(&c);
    c.range = 0xFFFFFFFFu;
    for (int64_t i = 0; i < rows && !c.wrong; i++) {
        uint8_t *row = context_line(s, i);
        const uint8_t *one = context_line(s, i + 2), *two = context_line(s, i + 1);
        if (i > 1)
            decode_row(&c, &s->model, row, one, two, width, counts, 2);
        else if (i == 1)
            decode_row(&c, &s->model, row, one, one, width, counts, 1);
        else
            decode_row(&c, &s->model, row, row, row, width, counts, 0);
        fill_margins(row, width);
        memcpy(out + (size_t)i * (size_t)width, row, (size_t)width);
    }
    *where = c.at < length ? c.at : length;
    if (c.wrong)
        return SW_CONTEXT_NOT_ONE;
    return ends_well(&c) ? 0 : SW_CONTEXT_ENDING;
}
