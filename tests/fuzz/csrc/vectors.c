/* sw_vectors_decode, sw_vectors_encode and sw_rings_canonical: what decodes can be encoded, and is what that decodes to;
 * what can be encoded decodes to itself; a ring has one form.
 * Input: mode (0 decode what follows; 1 encode columns; 2 encode them, damage the code, decode that; 3 rings), shifts,
 * how many of each, then the code or the columns. */
#include "decl/vectors.h"

#include "decl/codes.h"
#include "harness.h"

enum { DAMAGE = 4, FEW = 24 };

static sw_vectors columns(const sw_vectors *like)
{
    sw_vectors v = *like;
    v.detection = exactly((size_t)v.detections * sizeof *v.detection);
    v.polygon_class = exactly((size_t)v.polygons * sizeof *v.polygon_class);
    v.polygon_rings = exactly((size_t)v.polygons * sizeof *v.polygon_rings);
    v.ring_vertices = exactly((size_t)v.rings * sizeof *v.ring_vertices);
    v.vertex = exactly(2 * (size_t)v.vertices * sizeof *v.vertex);
    return v;
}

static void give_back(sw_vectors *v)
{
    free(v->detection);
    free(v->polygon_class);
    free(v->polygon_rings);
    free(v->ring_vertices);
    free(v->vertex);
}

static int alike(const sw_vectors *a, const sw_vectors *b)
{
    return equal(a->detection, b->detection, (size_t)a->detections * sizeof *a->detection)
        && equal(a->polygon_class, b->polygon_class, (size_t)a->polygons * sizeof *a->polygon_class)
        && equal(a->polygon_rings, b->polygon_rings, (size_t)a->polygons * sizeof *a->polygon_rings)
        && equal(a->ring_vertices, b->ring_vertices, (size_t)a->rings * sizeof *a->ring_vertices)
        && equal(a->vertex, b->vertex, 2 * (size_t)a->vertices * sizeof *a->vertex);
}

/* Encode, and decode again. Returns the code, which has `length` octets; NULL where the columns were refused. */
static uint8_t *encode(const sw_vectors *v, size_t *length)
{
    const size_t most = 256 + 64 * (size_t)v->detections + 32 * (size_t)(v->polygons + v->rings + v->vertices);
    uint8_t *room = exactly(most);
    const int64_t made = sw_vectors_encode(v, room, most);
    REQUIRE(made == SW_E_ARGUMENT || (made >= 0 && made <= (int64_t)most));
    uint8_t *code = made < 0 ? NULL : copy_of(room, *length = (size_t)made);
    if (made > 0) {
        uint8_t *less = exactly((size_t)made - 1);
        REQUIRE(sw_vectors_encode(v, less, (size_t)made - 1) == SW_E_SPACE);
        free(less);
    }
    if (code) {
        sw_vectors again = columns(v);
        size_t where = 0;
        REQUIRE(sw_vectors_decode(code, (size_t)made, &again, &where) == 0 && where <= (size_t)made);
        REQUIRE(alike(v, &again));
        give_back(&again);
    }
    free(room);
    return code;
}

static void require_in_range(const sw_vectors *v)
{
    for (int64_t i = 0; i < v->detections; i++) {
        const sw_detection *d = &v->detection[i];
        REQUIRE(d->class_value >= 0 && d->class_value <= SW_VECTOR_CLASS_MAX && d->score >= 0);
        REQUIRE(d->score <= SW_VECTOR_SCORE_MAX && d->width >= 0 && d->width <= SW_VECTOR_PLACE_MAX);
        REQUIRE(d->height >= 0 && d->height <= SW_VECTOR_PLACE_MAX);
    }
    int64_t rings = 0, vertices = 0;
    for (int64_t i = 0; i < v->polygons; i++) {
        REQUIRE(v->polygon_rings[i] >= 1 && v->polygon_class[i] >= 0 && v->polygon_class[i] <= SW_VECTOR_CLASS_MAX);
        rings += v->polygon_rings[i];
    }
    for (int64_t i = 0; i < v->rings; i++) {
        REQUIRE(v->ring_vertices[i] >= SW_VECTOR_RING_MIN);
        vertices += v->ring_vertices[i];
    }
    REQUIRE(rings == v->rings && vertices == v->vertices);
    for (int64_t i = 0; i < 2 * v->vertices; i++)
        REQUIRE(v->vertex[i] >= -SW_VECTOR_PLACE_MAX && v->vertex[i] <= SW_VECTOR_PLACE_MAX);
}

static void decode_any(const uint8_t *code, size_t length, const sw_vectors *like)
{
    sw_vectors v = columns(like);
    size_t where = 0, again = 0;
    const int fault = sw_vectors_decode(code, length, &v, &where);
    REQUIRE(fault >= 0 && fault <= SW_VEC_RINGS && where <= length);
    if (fault == 0) {
        require_in_range(&v);
        uint8_t *one_code = encode(&v, &again);
        REQUIRE(one_code != NULL);
        free(one_code);
    }
    give_back(&v);
}

/* A number of any size with few octets: 3 of 4 are small steps. */
static int32_t some_number(input *from)
{
    const uint32_t octet = (uint32_t)take(from, 1);
    return octet % 4 ? (int32_t)(octet / 4) - 16 : (int32_t)(uint32_t)take(from, 4) >> (octet / 4 % 32);
}

/* Columns that are in order and in range unless the input says otherwise. */
static sw_vectors columns_of(input *from, const sw_vectors *like)
{
    const unsigned wild = (unsigned)take(from, 1);
    sw_vectors v = columns(like);
    int32_t class_value = 0, y = 0, at[2] = {0, 0};
    for (int64_t i = 0; i < v.detections; i++) {
        const int32_t step = some_number(from), shift = v.detection_shift & 3;
        class_value += step == 7;
        y = step == 7 ? 0 : wild & 1 ? step : y + (step & 31) * (1 << shift);
        v.detection[i] = (sw_detection){class_value, y, some_number(from), some_number(from), some_number(from),
                                        some_number(from)};
        if (!(wild & 2)) {
            sw_detection *d = &v.detection[i];
            d->x = d->x % SW_VECTOR_PLACE_MAX & -(1 << shift), d->width = (d->width & 0xFFFF) << shift;
            d->height = (d->height & 0xFFFF) << shift, d->score &= 0xFF;
        }
    }
    int64_t rings = v.rings, vertices = v.vertices, vertex = 0;
    class_value = 0;
    for (int64_t i = 0; i < v.polygons; i++) {
        const int64_t spare = rings - (v.polygons - i);
        const int64_t its = i == v.polygons - 1 ? rings : 1 + (spare > 0 ? (int64_t)take(from, 1) % (spare + 1) : 0);
        rings -= its;
        v.polygon_class[i] = wild & 4 ? some_number(from) : class_value;
        v.polygon_rings[i] = wild & 8 ? some_number(from) : (int32_t)its;
    }
    for (int64_t i = 0; i < v.rings; i++) {
        const int64_t spare = vertices - SW_VECTOR_RING_MIN * (v.rings - i);
        const int64_t its = i == v.rings - 1 ? vertices
                                             : SW_VECTOR_RING_MIN + (spare > 0 ? (int64_t)take(from, 1) % (spare + 1) : 0);
        vertices -= its;
        v.ring_vertices[i] = wild & 16 ? some_number(from) : (int32_t)its;
        for (int64_t k = 0; k < its && vertex < v.vertices; k++, vertex++)
            for (int axis = 0; axis < 2; axis++) {
                const int32_t shift = v.polygon_shift & 3;
                const int64_t next = at[axis] + (int64_t)some_number(from) * (1 << shift);
                at[axis] = next > SW_VECTOR_PLACE_MAX || next < -SW_VECTOR_PLACE_MAX ? 0 : (int32_t)next;
                v.vertex[2 * vertex + axis] = wild & 32 ? some_number(from) : at[axis];
            }
    }
    return v;
}

static void encode_any(input *from, const sw_vectors *like, int damaged)
{
    const uint64_t where = take(from, damaged ? DAMAGE : 0), what = take(from, damaged ? DAMAGE : 0);
    sw_vectors v = columns_of(from, like);
    size_t length = 0;
    uint8_t *code = encode(&v, &length);
    if (code && damaged) {
        for (unsigned i = 0; i < DAMAGE && length > 0; i++)
            code[(where >> 8 * i & 0xFF) % length] ^= (uint8_t)(what >> 8 * i);
        decode_any(code, length, like);
    }
    free(code);
    give_back(&v);
}

static int64_t turning(const int32_t *vertex, int64_t count) /* of small places only */
{
    int64_t doubled = 0;
    for (int64_t i = 0; i < count; i++) {
        const int32_t *a = vertex + 2 * i, *b = vertex + 2 * ((i + 1) % count);
        doubled += (int64_t)a[0] * b[1] - (int64_t)b[0] * a[1];
    }
    return doubled;
}

static void rings_any(input *from)
{
    int32_t rings = 0, counts[FEW];
    int64_t all = 0, fault = 0, fault_again = 0;
    const int small = (int)take(from, 1) & 1;
    for (const uint32_t wanted = (uint32_t)take(from, 1) % FEW; rings < (int32_t)wanted; rings++) {
        counts[rings] = (int32_t)take(from, 1) % 40;
        all += counts[rings];
    }
    int32_t *vertex = exactly(2 * (size_t)all * sizeof *vertex), *counts_there = copy_of(counts, (size_t)rings * 4);
    for (int64_t i = 0; i < 2 * all; i++)
        vertex[i] = small ? (int32_t)take(from, 1) % 8 : some_number(from);
    int32_t *before = copy_of(vertex, 2 * (size_t)all * sizeof *vertex);
    const int code = sw_rings_canonical(vertex, counts_there, rings, &fault);
    REQUIRE(code == 0 || code == SW_VEC_RINGS || (code >= SW_VEC_PLACE && code <= SW_VEC_NO_AREA));
    REQUIRE(fault >= 0 && fault <= rings && (code == 0) == (fault == rings));
    if (code == 0) {
        int32_t *once = copy_of(vertex, 2 * (size_t)all * sizeof *vertex), *ring = vertex, *was = before;
        REQUIRE(sw_rings_canonical(vertex, counts_there, rings, &fault_again) == 0);
        REQUIRE(equal(once, vertex, 2 * (size_t)all * sizeof *vertex));
        for (int32_t r = 0; r < rings; ring += 2 * counts[r], was += 2 * counts[r], r++) {
            if (small)
                REQUIRE(turning(ring, counts[r]) > 0 && llabs(turning(was, counts[r])) == turning(ring, counts[r]));
            for (int32_t i = 1; i < counts[r]; i++) /* begins at its least vertex */
                REQUIRE(ring[2 * i + 1] > ring[1] || (ring[2 * i + 1] == ring[1] && ring[2 * i] >= ring[0]));
        }
        free(once);
    }
    free(before);
    free(counts_there);
    free(vertex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const unsigned mode = (unsigned)take(&from, 1), shifts = (unsigned)take(&from, 1);
    sw_vectors like = {.detections = (int64_t)(take(&from, 1) % 64), .polygons = (int64_t)(take(&from, 1) % 16)};
    like.rings = (int64_t)(take(&from, 1) % 32);
    like.vertices = (int64_t)take(&from, 1);
    like.detection_shift = (int32_t)(shifts & 3) - (shifts & 64 ? 1 : 0); /* 3 and -1 are refused */
    like.polygon_shift = (int32_t)(shifts >> 2 & 3) - (shifts & 128 ? 1 : 0);
    if (mode % 4 == 0) {
        size_t length;
        uint8_t *code = rest_of(&from, &length);
        decode_any(code, length, &like);
        free(code);
    } else if (mode % 4 == 3) {
        rings_any(&from);
    } else {
        if (!(mode & 4)) { /* numbers that fit each other */
            like.detection_shift = (int32_t)(shifts & 3) % 3, like.polygon_shift = (int32_t)(shifts >> 2 & 3) % 3;
            like.rings = like.polygons > 0 ? like.polygons + like.rings : 0;
            like.vertices = like.rings > 0 ? SW_VECTOR_RING_MIN * like.rings + like.vertices : 0;
        }
        encode_any(&from, &like, mode % 4 == 2);
    }
    return 0;
}
