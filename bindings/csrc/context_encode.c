/* The encoder of the context code: rows go in as they come, octets gather in the caller's buffer. */
#include "decl/context.h"

#include "context_model.h"
#include "decl/codes.h"

typedef struct {
    uint64_t low; /* bit 32: a carry into the octets already written */
    uint32_t range;
    uint8_t *out;
    size_t written, capacity;
    int full;
} coder;

static void carry(coder *c)
{
    for (size_t i = c->written; i-- > 0 && ++c->out[i] == 0;) {
    }
}

static void put_octet(coder *c)
{
    if (c->low >> 32)
        carry(c);
    if (c->written < c->capacity)
        c->out[c->written++] = (uint8_t)(c->low >> 24);
    else
        c->full = 1;
    c->low = (c->low & 0xFFFFFF) << 8;
}

SW_INLINE void put_bit(coder *c, uint32_t chance_of_one, int bit)
{
    const uint32_t ones = (uint32_t)((uint64_t)c->range * chance_of_one >> 16), zeros = c->range - ones;
    c->low += bit ? zeros : 0;
    c->range = bit ? ones : zeros;
    while (c->range < 1u << 24) {
        c->range <<= 8;
        put_octet(c);
    }
}

SW_INLINE void put(coder *c, uint32_t *counter, int bit)
{
    put_bit(c, chance(*counter), bit);
    learn(counter, bit);
}

static void put_place(coder *c, uint32_t place, uint32_t places)
{
    c->range /= places;
    c->low += (uint64_t)c->range * place;
    while (c->range < 1u << 24) {
        c->range <<= 8;
        put_octet(c);
    }
}

static void put_class(coder *c, context_model *model, uint8_t left, uint8_t value)
{
    const int unusual = value != model->beside[left];
    put(c, &model->unusual, unusual);
    if (!unusual)
        return;
    for (unsigned node = 1, bit = 8; bit-- > 0;) {
        const unsigned one = value >> bit & 1u;
        put(c, &model->value[node], (int)one);
        node = node << 1 | one;
    }
}

/* A class that is not the left one, where neighbours of other classes are near. */
static void put_other(coder *c, context_model *model, const uint8_t *one, const uint8_t *two, uint8_t left,
                      uint8_t left2, int rows_above, uint8_t value)
{
    candidates found;
    find_candidates(&found, one, two, left, left2, rows_above);
    for (int i = 0; i < found.count; i++) {
        put(c, &model->next[found.counter[i]], value != found.value[i]);
        if (value == found.value[i])
            return;
    }
    put_class(c, model, left, value);
}

SW_INLINE void encode_row(coder *c, context_model *model, const uint8_t *row, const uint8_t *one, const uint8_t *two,
                          int32_t width, uint64_t *counts, int rows_above)
{
    uint8_t left = rows_above ? one[0] : 0, left2 = left, left3 = left;
    for (int32_t x = 0; x < width;) {
        const uint32_t pattern = neighbour_pattern(one + x, two + x, left, left2, left3, rows_above);
        const uint8_t value = row[x];
        if (rows_above && pattern == ALL_ALIKE) {
            const int32_t length = flat_stretch(one, two, x, width, left, rows_above);
            const int32_t same = same_until(row + x, length, left);
            put(c, &model->broken[length_class(length)], same < length);
            counts[left] += (uint64_t)same;
            x += same;
            if (same == length)
                continue;
            put_place(c, (uint32_t)same, (uint32_t)length);
            const uint8_t found = row[x];
            put_class(c, model, left, found);
            left3 = left2 = left; /* the whole neighbourhood is of this class */
            model->beside[left] = found, model->beside[found] = left;
            left = found;
        } else {
            uint32_t *alike = &model->alike[pattern];
            const uint32_t above = rows_above ? one[x] : left;
            uint32_t *classed = &model->classed[(pattern & CORE) << 6 | (above & 7u) << 3 | (left & 7u)];
            put_bit(c, mean_chance(*alike, *classed), value != left);
            learn(alike, value != left);
            learn(classed, value != left);
            left3 = left2, left2 = left;
            if (value != left) {
                put_other(c, model, one + x, two + x, left, left3, rows_above, value);
                model->beside[left] = value, model->beside[value] = left;
                left = value;
            }
        }
        counts[left]++;
        x++;
    }
}

size_t sw_context_size(int32_t width)
{
    return width < 1 || width > SW_CONTEXT_WIDTH_MAX
               ? 0
               : sizeof(context_state) + 3 * ((size_t)width + 2 * LINE_MARGIN);
}

int sw_context_begin(void *state, int32_t width)
{
    context_state *s = state;
    if (!sw_context_size(width))
        return SW_E_ARGUMENT;
    model_begin(&s->model);
    s->row = 0, s->low = 0, s->written = 0, s->range = 0xFFFFFFFFu, s->width = width, s->full = 0;
    return SW_OK;
}

int64_t sw_context_feed(void *state, const uint8_t *rows, int64_t count, uint64_t *counts, uint8_t *out,
                        size_t capacity)
{
    context_state *s = state;
    coder c = {s->low, s->range, out, s->written, capacity, s->full};
    for (int64_t i = 0; i < count && !c.full; i++, s->row++) {
        uint8_t *row = context_line(s, s->row);
        const uint8_t *one = context_line(s, s->row + 2), *two = context_line(s, s->row + 1);
        memcpy(row, rows + (size_t)i * (size_t)s->width, (size_t)s->width);
        fill_margins(row, s->width);
        if (s->row > 1)
            encode_row(&c, &s->model, row, one, two, s->width, counts, 2);
        else if (s->row == 1)
            encode_row(&c, &s->model, row, one, one, s->width, counts, 1);
        else
            encode_row(&c, &s->model, row, row, row, s->width, counts, 0);
    }
    s->low = c.low, s->range = c.range, s->written = c.written, s->full = c.full;
    return c.full ? SW_E_SPACE : (int64_t)c.written;
}

int64_t sw_context_end(void *state, uint8_t *out, size_t capacity)
{
    context_state *s = state;
    coder c = {s->low, s->range, out, s->written, capacity, s->full};
    /* the number in [low, low + range) with the fewest octets; the decoder takes zeros behind them */
    for (unsigned octets = 0; octets <= 4; octets++) {
        const uint64_t mask = octets ? 0xFFFFFFFFu >> (8 * octets - 1) >> 1 : 0xFFFFFFFFu;
        const uint64_t step = (0 - c.low) & mask;
        if (step >= c.range)
            continue;
        c.low += step;
        if (octets == 0 && c.low >> 32)
            carry(&c);
        for (unsigned i = 0; i < octets; i++)
            put_octet(&c);
        break;
    }
    while (c.written > 0 && out[c.written - 1] == 0)
        c.written--;
    s->full = c.full;
    return c.full ? SW_E_SPACE : (int64_t)c.written;
}
