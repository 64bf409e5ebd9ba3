/* Boxes, rings and the vector code at their edges, in buffers of exactly the size that is promised. Part of test_core. */
#include "decl/codes.h"
#include "decl/nms.h"
#include "decl/simplify.h"
#include "decl/vectors.h"
#include "drive.h"

#include <math.h>

static uint32_t below(uint32_t bound)
{
    static uint32_t state = 2463534242u;
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % bound;
}

static float any_float(void)
{
    const uint32_t bits = below(1u << 16) << 16 | below(1u << 16);
    float value;
    memcpy(&value, &bits, sizeof value);
    return isfinite(value) ? value : 1.5f;
}

void drive_nms(void)
{
    static const double thresholds[] = {0, 1e-30, 0.1, 0.5, 0.75, 0.999999, 1};
    for (int turn = 0; turn < 1500; turn++) {
        const int64_t count = below(40);
        const double threshold = thresholds[below(7)];
        float *boxes = octets(4 * (size_t)count * sizeof *boxes), *scores = octets((size_t)count * sizeof *scores);
        int32_t *classes = octets((size_t)count * sizeof *classes);
        int64_t *keep = octets((size_t)count * sizeof *keep);
        void *scratch = octets((size_t)sw_nms_scratch(count));
        for (int64_t i = 0; i < count; i++) {
            for (int axis = 0; axis < 2; axis++) {
                float a = turn % 3 ? (float)below(50) : any_float(), b = turn % 3 ? (float)below(50) : any_float();
                boxes[4 * i + axis] = a < b ? a : b;
                boxes[4 * i + 2 + axis] = a < b ? b : a;
            }
            scores[i] = turn % 2 ? any_float() : (float)below(3);
            classes[i] = (int32_t)below(2) - 1;
        }
        sw_nms_account account;
        const int64_t kept = sw_nms_keep(boxes, scores, turn % 4 ? NULL : classes, count, threshold, keep, scratch, &account);
        REQUIRE(kept >= 0 && kept <= count && (count == 0 || kept >= 1) && (threshold < 1 || kept == count));
        for (int64_t i = 0; i < kept; i++)
            REQUIRE(keep[i] >= 0 && keep[i] < count && (i == 0 || scores[keep[i - 1]] >= scores[keep[i]]));
        if (count > 0) {
            boxes[4 * (count - 1) + below(4)] = turn & 1 ? NAN : INFINITY;
            REQUIRE(sw_nms_keep(boxes, scores, NULL, count, threshold, keep, scratch, &account) == SW_NMS_NOT_FINITE);
            REQUIRE(account.fault == count - 1);
        }
        free(boxes);
        free(scores);
        free(classes);
        free(keep);
        free(scratch);
    }
    sw_nms_account account;
    REQUIRE(sw_nms_keep(NULL, NULL, NULL, 0, 1.5, NULL, NULL, &account) == SW_E_ARGUMENT);
    REQUIRE(sw_nms_keep(NULL, NULL, NULL, 0, NAN, NULL, NULL, &account) == SW_E_ARGUMENT);
    REQUIRE(sw_nms_keep(NULL, NULL, NULL, -1, 0.5, NULL, NULL, &account) == SW_E_ARGUMENT);
    REQUIRE(sw_nms_scratch(-1) == SW_E_ARGUMENT && sw_nms_scratch(SW_NMS_BOXES_MAX + 1) == SW_E_ARGUMENT);
}

static int32_t any_place(int turn)
{
    if (turn % 5 == 0)
        return below(2) ? SW_SIMPLIFY_PLACE_MAX : -SW_SIMPLIFY_PLACE_MAX;
    return turn % 5 == 1 ? (int32_t)below(4) : (int32_t)below(400) - 200;
}

void drive_simplify(void)
{
    for (int turn = 0; turn < 1500; turn++) {
        const int64_t rings = below(5);
        int32_t count[5], longest = 0;
        uint8_t keep[5];
        int64_t vertices = 0;
        for (int64_t i = 0; i < rings; i++) {
            count[i] = (int32_t)below(turn % 100 ? 30 : 3000);
            longest = count[i] > longest ? count[i] : longest;
            keep[i] = (uint8_t)below(2);
            vertices += count[i];
        }
        int32_t *vertex = octets(2 * (size_t)vertices * sizeof *vertex);
        int32_t *out = octets(2 * (size_t)vertices * sizeof *out), left[5];
        uint8_t *scratch = octets((size_t)longest);
        for (int64_t i = 0; i < 2 * vertices; i++)
            vertex[i] = any_place(turn);
        int32_t tolerance = (int32_t)below(turn % 7 ? 40 : SW_SIMPLIFY_TOLERANCE_MAX + 1);
        int64_t made = sw_simplify_rings(vertex, count, rings, tolerance, keep, out, left, scratch);
        int64_t sum = 0;
        for (int64_t i = 0; i < rings; i++) {
            REQUIRE(left[i] == 0 || (left[i] >= 3 && left[i] <= count[i]));
            sum += left[i];
        }
        REQUIRE(made == sum);
        int64_t fault, kept_rings = 0; /* what is left is a ring in every sense of the vector code */
        for (int64_t i = 0; i < rings; i++)
            if (left[i])
                left[kept_rings++] = left[i];
        REQUIRE(sw_rings_canonical(out, left, kept_rings, &fault) == 0);
        if (vertices > 0) {
            vertex[below((uint32_t)(2 * vertices))] = SW_SIMPLIFY_PLACE_MAX + 1;
            REQUIRE(sw_simplify_rings(vertex, count, rings, tolerance, keep, out, left, scratch) == SW_E_ARGUMENT);
        }
        free(vertex);
        free(out);
        free(scratch);
    }
    REQUIRE(sw_simplify_rings(NULL, NULL, 0, -1, NULL, NULL, NULL, NULL) == SW_E_ARGUMENT);
    REQUIRE(sw_simplify_rings(NULL, NULL, 0, SW_SIMPLIFY_TOLERANCE_MAX + 1, NULL, NULL, NULL, NULL) == SW_E_ARGUMENT);
}

static void make_room(sw_vectors *v)
{
    v->detection = octets((size_t)v->detections * sizeof *v->detection);
    v->polygon_class = octets((size_t)v->polygons * sizeof *v->polygon_class);
    v->polygon_rings = octets((size_t)v->polygons * sizeof *v->polygon_rings);
    v->ring_vertices = octets((size_t)v->rings * sizeof *v->ring_vertices);
    v->vertex = octets(2 * (size_t)v->vertices * sizeof *v->vertex);
}

static void clear(sw_vectors *v)
{
    free(v->detection);
    free(v->polygon_class);
    free(v->polygon_rings);
    free(v->ring_vertices);
    free(v->vertex);
}

/* Squares, some with holes, down the scene; boxes in order. */
static void fill(sw_vectors *v, int32_t extreme)
{
    for (int64_t i = 0; i < v->detections; i++)
        v->detection[i] = (sw_detection){(int32_t)(i / 7 % 256), i % 7 ? (int32_t)(i % 7) : -extreme, extreme,
                                         (int32_t)below(200), extreme, (int32_t)below(256)};
    int64_t ring = 0;
    int32_t *to = v->vertex;
    for (int64_t i = 0; i < v->polygons; i++) {
        v->polygon_class[i] = (int32_t)(i / 5);
        v->polygon_rings[i] = (int32_t)(i == v->polygons - 1 ? v->rings - ring : 1);
        for (int32_t r = 0; r < v->polygon_rings[i]; r++, ring++) {
            const int32_t x = (int32_t)below(1000), y = (int32_t)(100 * i) + r, side = 4 + (int32_t)below(90);
            const int32_t corners[8] = {x, y, x + side, y, x + side, y + side, x, y + side};
            v->ring_vertices[ring] = 4;
            memcpy(to, corners, sizeof corners);
            to += 8;
        }
    }
}

void drive_vectors(void)
{
    for (int turn = 0; turn < 300; turn++) {
        sw_vectors v = {.detections = below(20), .polygons = below(15)};
        v.rings = v.polygons > 0 ? v.polygons + below(4) : 0;
        v.vertices = 4 * v.rings;
        make_room(&v);
        fill(&v, turn % 2 ? SW_VECTOR_PLACE_MAX : 50);
        size_t room = 1 << 14, where;
        uint8_t *most = octets(room);
        const int64_t length = sw_vectors_encode(&v, most, room);
        REQUIRE(length >= 0);
        uint8_t *exact = octets((size_t)length);
        memcpy(exact, most, (size_t)length);
        if (length > 0)
            REQUIRE(sw_vectors_encode(&v, most, (size_t)length - 1) == SW_E_SPACE);
        sw_vectors again = v;
        make_room(&again);
        REQUIRE(sw_vectors_decode(exact, (size_t)length, &again, &where) == 0 && where == (size_t)length);
        REQUIRE(v.detections == 0
                || memcmp(v.detection, again.detection, (size_t)v.detections * sizeof *v.detection) == 0);
        REQUIRE(v.vertices == 0 || memcmp(v.vertex, again.vertex, 2 * (size_t)v.vertices * sizeof *v.vertex) == 0);
        for (int64_t cut = 0; cut < length; cut++) {
            uint8_t *part = octets((size_t)cut);
            memcpy(part, exact, (size_t)cut);
            const int fault = sw_vectors_decode(part, (size_t)cut, &again, &where);
            REQUIRE(fault >= 0 && fault <= SW_VEC_RINGS && where <= (size_t)cut); /* by chance it is another content */
            free(part);
        }
        for (int damage = 0; damage < 60 && length > 0; damage++) {
            exact[below((uint32_t)length)] = (uint8_t)below(256);
            const int fault = sw_vectors_decode(exact, (size_t)length, &again, &where);
            REQUIRE(fault >= 0 && fault <= SW_VEC_RINGS && where <= (size_t)length);
        }
        if (v.vertices > 0) {
            v.vertex[below((uint32_t)(2 * v.vertices))] = SW_VECTOR_PLACE_MAX + 1;
            REQUIRE(sw_vectors_encode(&v, most, room) == SW_E_ARGUMENT);
        }
        clear(&again);
        clear(&v);
        free(exact);
        free(most);
    }
    sw_vectors wrong = {.detections = -1};
    size_t where;
    REQUIRE(sw_vectors_encode(&wrong, NULL, 0) == SW_E_ARGUMENT);
    REQUIRE(sw_vectors_decode(NULL, 0, &wrong, &where) == SW_VEC_RINGS);
    wrong = (sw_vectors){.polygons = 1, .rings = INT64_MAX, .vertices = INT64_MAX};
    REQUIRE(sw_vectors_decode(NULL, 0, &wrong, &where) == SW_VEC_RINGS);
}
