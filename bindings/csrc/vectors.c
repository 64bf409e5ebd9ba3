/* The code of detections and polygons. One description of the numbers serves both ways: every function below takes a
 * value, encodes it and gives it back, or takes anything and gives back what it decoded, as its coder says. */
#include "decl/vectors.h"

#include <string.h>

#include "decl/codes.h"
#include "vector_coder.h"

#define BITS_MAX 29 /* of a number: twice the range of places fits */

typedef struct {
    sw_bit longer[BITS_MAX + 1];   /* than so many bits? */
    sw_bit second[BITS_MAX + 1]; /* the bit below the highest */
} number_model;

typedef struct {
    sw_bit is_zero, is_negative;
    number_model less_one;
} signed_model;

#define DIRECTIONS 9 /* 3 * sign of x + sign of y; a sign is 0 none, 1 positive, 2 negative */
#define SIZES 8      /* how many bits a step has, at most 7 */

/* All decisions and nothing else, so that it is reset as one array. */
typedef struct {
    number_model class_step, down, width, height[SIZES], holes, vertices[2];
    signed_model first_down, across, hole_down, hole_across;
    sw_bit score[16];
    sw_bit zero_x[DIRECTIONS][DIRECTIONS], left[DIRECTIONS][DIRECTIONS];
    sw_bit zero_y[DIRECTIONS][DIRECTIONS][3], up[DIRECTIONS][DIRECTIONS][3];
    number_model step_x[SIZES], step_y[SIZES];
} model;

static void reset(model *m)
{
    sw_bit *each = (sw_bit *)m;
    for (size_t i = 0; i < sizeof *m / sizeof *each; i++)
        each[i] = (sw_bit){32768, 0};
}

static int bit_length(uint32_t value)
{
    int bits = 0;
    for (; value; value >>= 1)
        bits++;
    return bits;
}

static int size_of_step(int32_t step)
{
    const int bits = bit_length(step < 0 ? 0u - (uint32_t)step : (uint32_t)step);
    return bits < SIZES ? bits : SIZES - 1;
}

static int sign_of(int32_t value)
{
    return value > 0 ? 1 : value < 0 ? 2 : 0;
}

/* Its length in bits, then the bits below the highest. */
static uint32_t number(sw_coder *c, number_model *m, uint32_t value)
{
    const int length = bit_length(value);
    int bits = 0;
    while (bits <= BITS_MAX && sw_code_bit(c, &m->longer[bits], length > bits))
        bits++;
    if (bits > BITS_MAX) {
        c->fault = SW_VEC_NUMBER;
        return 0;
    }
    if (bits < 2)
        return (uint32_t)bits;
    uint32_t made = 2u | (uint32_t)sw_code_bit(c, &m->second[bits], value >> (bits - 2) & 1u);
    for (int i = bits - 3; i >= 0; i--)
        made = made << 1 | (uint32_t)sw_code_even(c, value >> i & 1u);
    return made;
}

/* A step that is not zero: its sign, then how much longer than one it is. */
static int32_t nonzero(sw_coder *c, sw_bit *is_negative, number_model *m, int32_t value)
{
    const int negative = sw_code_bit(c, is_negative, value < 0);
    const int32_t size = (int32_t)number(c, m, (uint32_t)(value < 0 ? -value : value) - 1u) + 1;
    return negative ? -size : size;
}

static int32_t signed_number(sw_coder *c, signed_model *m, int32_t value)
{
    return sw_code_bit(c, &m->is_zero, value == 0) ? 0 : nonzero(c, &m->is_negative, &m->less_one, value);
}

/* `value` in units of the shift, from `before`; a place out of range is a fault. */
static int32_t place(sw_coder *c, int64_t value, int shift)
{
    if (value > SW_VECTOR_PLACE_MAX >> shift || value < -(SW_VECTOR_PLACE_MAX >> shift)) {
        c->fault = SW_VEC_PLACE;
        return 0;
    }
    return (int32_t)value;
}

static int32_t times(int32_t value, int shift)
{
    return value * (1 << shift);
}

/* The class and the place of the first corner, in the order of class, y, x. */
typedef struct {
    int32_t class_value, y, x;
} start;

static void code_start(sw_coder *c, model *m, start *before, const start *here, int shift)
{
    const uint32_t step = number(c, &m->class_step, (uint32_t)(here->class_value - before->class_value));
    start next = {0, 0, 0};
    if (step > (uint32_t)(SW_VECTOR_CLASS_MAX - before->class_value) || before->class_value + (int32_t)step < 0) {
        c->fault = SW_VEC_CLASS;
        return;
    }
    next.class_value = before->class_value + (int32_t)step;
    if (step) {
        next.y = place(c, signed_number(c, &m->first_down, here->y), shift);
        before->x = 0;
    } else
        next.y = place(c, (int64_t)before->y + number(c, &m->down, (uint32_t)(here->y - before->y)), shift);
    next.x = place(c, (int64_t)before->x + signed_number(c, &m->across, here->x - before->x), shift);
    *before = next;
}

static int32_t code_score(sw_coder *c, model *m, int32_t score)
{
    uint32_t made = 1;
    for (int i = 7; i >= 4; i--)
        made = made << 1 | (uint32_t)sw_code_bit(c, &m->score[made], score >> i & 1);
    for (int i = 3; i >= 0; i--)
        made = made << 1 | (uint32_t)sw_code_even(c, score >> i & 1);
    return (int32_t)(made & 0xFF);
}

static void code_detections(sw_coder *c, model *m, sw_vectors *v)
{
    const int shift = v->detection_shift;
    start before = {-1, 0, 0}; /* the first is of another class */
    for (int64_t i = 0; i < v->detections && !c->fault; i++) {
        sw_detection *d = &v->detection[i];
        const start here = {d->class_value, d->y >> shift, d->x >> shift};
        code_start(c, m, &before, &here, shift);
        const uint32_t width = number(c, &m->width, (uint32_t)d->width >> shift);
        const uint32_t height = number(c, &m->height[size_of_step((int32_t)width)], (uint32_t)d->height >> shift);
        const sw_detection made = {before.class_value, times(before.y, shift), times(before.x, shift),
                                   times(place(c, width, shift), shift), times(place(c, height, shift), shift),
                                   code_score(c, m, d->score)};
        if (c->from)
            *d = made;
    }
}

/* The vertices of a ring behind its first. */
static void code_ring(sw_coder *c, model *m, int32_t *vertex, int32_t count, int shift)
{
    int before = 0, last = 0; /* directions of the two steps before */
    int32_t last_x = 0;
    for (int32_t i = 1; i < count && !c->fault; i++) {
        int32_t *here = vertex + 2 * (int64_t)i;
        const int32_t x = here[-2] >> shift, y = here[-1] >> shift;
        int32_t step_x = c->from ? 0 : (here[0] >> shift) - x, step_y = c->from ? 0 : (here[1] >> shift) - y;
        step_x = sw_code_bit(c, &m->zero_x[before][last], step_x == 0)
                     ? 0
                     : nonzero(c, &m->left[before][last], &m->step_x[size_of_step(last_x)], step_x);
        const int sign_x = sign_of(step_x);
        const int level = step_x != 0 && sw_code_bit(c, &m->zero_y[before][last][sign_x], step_y == 0);
        step_y = level ? 0
                       : nonzero(c, &m->up[before][last][sign_x], &m->step_y[size_of_step(step_x)], step_y);
        const int32_t next_x = place(c, (int64_t)x + step_x, shift), next_y = place(c, (int64_t)y + step_y, shift);
        if (c->from)
            here[0] = times(next_x, shift), here[1] = times(next_y, shift);
        last_x = step_x;
        before = last, last = 3 * sign_x + sign_of(step_y);
    }
}

static void code_polygons(sw_coder *c, model *m, sw_vectors *v)
{
    const int shift = v->polygon_shift;
    start before = {-1, 0, 0}; /* the first is of another class */
    int64_t ring = 0, vertex = 0;
    for (int64_t i = 0; i < v->polygons && !c->fault; i++) {
        start here = {v->polygon_class[i], 0, 0};
        if (!c->from)
            here.y = v->vertex[2 * vertex + 1] >> shift, here.x = v->vertex[2 * vertex] >> shift;
        code_start(c, m, &before, &here, shift);
        start hole = before;
        const int64_t rings = 1 + (int64_t)number(c, &m->holes, (uint32_t)v->polygon_rings[i] - 1u);
        if (rings > v->rings - ring - (v->polygons - 1 - i)) {
            c->fault = SW_VEC_RINGS;
            return;
        }
        for (int64_t r = 0; r < rings && !c->fault; r++, ring++) {
            int32_t *first = v->vertex + 2 * vertex;
            if (r > 0) {
                const int32_t down = c->from ? 0 : (first[1] >> shift) - hole.y;
                hole.y = place(c, (int64_t)hole.y + signed_number(c, &m->hole_down, down), shift);
                const int32_t right = c->from ? 0 : (first[0] >> shift) - hole.x;
                hole.x = place(c, (int64_t)hole.x + signed_number(c, &m->hole_across, right), shift);
            }
            const uint32_t further = (uint32_t)v->ring_vertices[ring] - SW_VECTOR_RING_MIN;
            const int64_t count = SW_VECTOR_RING_MIN + (int64_t)number(c, &m->vertices[r > 0], further);
            if (count > v->vertices - vertex - SW_VECTOR_RING_MIN * (v->rings - 1 - ring)) {
                c->fault = SW_VEC_RINGS;
                return;
            }
            if (c->from) {
                v->ring_vertices[ring] = (int32_t)count;
                first[0] = times(hole.x, shift), first[1] = times(hole.y, shift);
            }
            code_ring(c, m, first, (int32_t)count, shift);
            vertex += count;
        }
        if (c->from)
            v->polygon_class[i] = before.class_value, v->polygon_rings[i] = (int32_t)rings;
    }
    if (!c->fault && (ring != v->rings || vertex != v->vertices))
        c->fault = SW_VEC_RINGS;
}

static int is_possible(const sw_vectors *v)
{
    const int64_t most = INT32_MAX;
    return v->detections >= 0 && v->polygons >= 0 && v->detections <= most && v->vertices <= most
        && v->detection_shift >= 0 && v->detection_shift <= 2 && v->polygon_shift >= 0 && v->polygon_shift <= 2
        && v->rings >= v->polygons && v->rings <= most / SW_VECTOR_RING_MIN && (v->polygons > 0 || v->rings == 0)
        && v->vertices >= SW_VECTOR_RING_MIN * v->rings && (v->rings > 0 || v->vertices == 0);
}

static void code_all(sw_coder *c, sw_vectors *v)
{
    model m;
    reset(&m);
    sw_coder_begin(c);
    code_detections(c, &m, v);
    code_polygons(c, &m, v);
}

static int is_place(int32_t value, int shift)
{
    return value >= -SW_VECTOR_PLACE_MAX && value <= SW_VECTOR_PLACE_MAX && value % (1 << shift) == 0;
}

/* What the code can hold; the order is seen where it makes a difference negative. */
static int is_codable(const sw_vectors *v)
{
    int64_t rings = 0, vertices = 0;
    for (int64_t i = 0; i < v->detections; i++) {
        const sw_detection *d = &v->detection[i], *before = i > 0 ? d - 1 : NULL;
        if (d->class_value < 0 || d->class_value > SW_VECTOR_CLASS_MAX || d->score < 0
            || d->score > SW_VECTOR_SCORE_MAX || d->width < 0 || d->height < 0 || !is_place(d->x, v->detection_shift)
            || !is_place(d->y, v->detection_shift) || !is_place(d->width, v->detection_shift)
            || !is_place(d->height, v->detection_shift))
            return 0;
        if (before && (d->class_value < before->class_value || (d->class_value == before->class_value && d->y < before->y)))
            return 0;
    }
    for (int64_t i = 0; i < v->polygons; i++) {
        if (v->polygon_rings[i] < 1 || v->polygon_class[i] < 0 || v->polygon_class[i] > SW_VECTOR_CLASS_MAX)
            return 0;
        rings += v->polygon_rings[i];
    }
    if (rings != v->rings)
        return 0;
    for (int64_t i = 0; i < v->rings; i++) {
        if (v->ring_vertices[i] < SW_VECTOR_RING_MIN)
            return 0;
        vertices += v->ring_vertices[i];
    }
    if (vertices != v->vertices)
        return 0;
    for (int64_t i = 0; i < 2 * v->vertices; i++)
        if (!is_place(v->vertex[i], v->polygon_shift))
            return 0;
    const int32_t *first = v->vertex, *first_before = NULL;
    const int32_t *count = v->ring_vertices;
    for (int64_t i = 0; i < v->polygons; i++) {
        if (first_before && (v->polygon_class[i] < v->polygon_class[i - 1]
                             || (v->polygon_class[i] == v->polygon_class[i - 1] && first[1] < first_before[1])))
            return 0;
        first_before = first;
        for (int32_t r = 0; r < v->polygon_rings[i]; r++, count++) {
            for (int32_t k = 1; k < *count; k++) /* the code has no step of nothing */
                if (first[2 * k] == first[2 * k - 2] && first[2 * k + 1] == first[2 * k - 1])
                    return 0;
            first += 2 * (int64_t)*count;
        }
    }
    return 1;
}

int64_t sw_vectors_encode(const sw_vectors *v, uint8_t *out, size_t capacity)
{
    if (!is_possible(v) || !is_codable(v))
        return SW_E_ARGUMENT;
    if (v->detections == 0 && v->polygons == 0)
        return 0;
    sw_vectors read_only = *v;
    sw_coder c = {.to = out, .length = capacity};
    code_all(&c, &read_only);
    sw_coder_end(&c);
    return c.fault ? SW_E_ARGUMENT : c.full ? SW_E_SPACE : (int64_t)c.at;
}

int sw_vectors_decode(const uint8_t *octets, size_t length, sw_vectors *v, size_t *where)
{
    *where = 0;
    if (!is_possible(v))
        return SW_VEC_RINGS;
    if (v->detections == 0 && v->polygons == 0)
        return length == 0 ? 0 : SW_VEC_BEHIND;
    memset(v->detection, 0, (size_t)v->detections * sizeof *v->detection);
    memset(v->polygon_class, 0, (size_t)v->polygons * sizeof *v->polygon_class);
    memset(v->polygon_rings, 0, (size_t)v->polygons * sizeof *v->polygon_rings);
    memset(v->ring_vertices, 0, (size_t)v->rings * sizeof *v->ring_vertices);
    sw_coder c = {.from = octets, .length = length};
    code_all(&c, v);
    *where = c.at < length ? c.at : length;
    if (c.fault)
        return c.fault;
    /* four octets were read ahead, of which the encoder wrote one */
    return c.at > length + 3 ? SW_VEC_CUT_SHORT : c.at < length + 3 ? SW_VEC_BEHIND : 0;
}
