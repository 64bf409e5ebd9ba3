/* Drives every function of the C core at its edges, in buffers of exactly the size that is promised, so that the
 * sanitizers see any octet too many. tests/bindings/sanitize.sh builds and runs it. */
#include "decl/activity_account.h"
#include "decl/answer.h"
#include "decl/codes.h"
#include "decl/crc.h"
#include "decl/frame_clock.h"
#include "decl/gate.h"
#include "decl/lzw.h"
#include "decl/mask.h"
#include "decl/regions.h"
#include "decl/runs.h"
#include "decl/spectral.h"
#include "decl/stitch.h"
#include "decl/tiles.h"
#include "decl/trace.h"
#include "drive.h"

#include <math.h>
#include <pthread.h>
#include <unistd.h>

static uint32_t noise(void)
{
    static uint32_t state = 12345;
    return state = state * 1664525u + 1013904223u;
}

static void test_checks(void)
{
    REQUIRE(sw_crc16_ccitt((const uint8_t *)"123456789", 9, 0xFFFF) == 0x29B1);
    REQUIRE(sw_crc32c((const uint8_t *)"123456789", 9, 0) == 0xE3069283u);
    for (size_t count = 0; count < 40; count++) {
        uint8_t *data = octets(count);
        uint32_t whole = sw_crc32c(data, count, 0);
        for (size_t at = 0; at <= count; at++) {
            REQUIRE(sw_crc32c(data + at, count - at, sw_crc32c(data, at, 0)) == whole);
            REQUIRE(sw_crc16_ccitt(data + at, count - at, sw_crc16_ccitt(data, at, 0xFFFF))
                    == sw_crc16_ccitt(data, count, 0xFFFF));
        }
        free(data);
    }
    for (size_t count = 3000; count < 10000; count += 613) { /* lanes side by side */
        uint8_t *data = octets(count);
        uint32_t turn = 77;
        for (size_t i = 0; i < count; i++)
            data[i] = (uint8_t)(noise() >> 16);
        for (size_t i = 0; i < count; i++)
            turn = sw_crc32c(data + i, 1, turn);
        REQUIRE(sw_crc32c(data, count, 77) == turn);
        free(data);
    }
}

enum type { U8, U16, I16, F32 };
static const size_t SIZE[] = {1, 2, 2, 4};

static int cut(sw_cutter *cutter, const sw_window *window, const void *samples, const int64_t place[4], void *out,
               uint8_t *valid, sw_band_stats *each, sw_tile_stats *stats)
{
    const size_t bands = cutter->bands > 0 ? (size_t)cutter->bands * sizeof(float) : 0;
    float *scale = octets(bands), *offset = octets(bands);
    sw_octet_form *form = octets(bands * sizeof *form);
    for (int32_t b = 0; b < cutter->bands; b++)
        scale[b] = 0.5f, offset[b] = -0.25f, form[b] = (sw_octet_form){0, 0, 0};
    cutter->scale = scale, cutter->offset = offset, cutter->form = form;
    if (cutter->side == 32 && noise() >> 29 == 0) /* the others stay with the division */
        REQUIRE(sw_cutter_prove(cutter) >= 0);
    const int code = sw_cut(cutter, window, samples, place[0], place[1], place[2], place[3], out, valid, each, stats);
    free(scale);
    free(offset);
    free(form);
    return code;
}

static void test_tiles(void)
{
    static const int32_t rows[] = {1, 2, 16, 32, 35}, sides[] = {1, 15, 16, 32}, planes[] = {1, 2, 3, 4, 5, 9};
    for (int turn = 0; turn < 6000; turn++) {
        enum type type = (enum type)(noise() >> 8) % 4;
        const int32_t height = rows[(noise() >> 8) % 5], width = rows[(noise() >> 8) % 5];
        const int32_t side = sides[(noise() >> 8) % 4], depth = planes[(noise() >> 8) % 6];
        const size_t samples = (size_t)height * (size_t)width * (size_t)depth;
        uint8_t *data = octets(samples * SIZE[type]);
        for (size_t i = 0; i < samples * SIZE[type]; i++)
            data[i] = (uint8_t)(noise() >> 16); /* as floats: any bit pattern, NaN and infinities too */
        sw_window window = {height, width, (int64_t)width * depth, depth, 1};
        if (turn & 1)
            window.row_stride = width, window.col_stride = 1, window.band_stride = (int64_t)width * height;
        else if (turn & 4)
            window.row_stride = (int64_t)width * depth, window.col_stride = 1, window.band_stride = width;
        const int32_t band[2] = {(int32_t)(noise() >> 8) % depth, depth - 1};
        sw_cutter cutter = {.sample = (int32_t)type, .out = (int32_t)(noise() >> 8) % 3, .side = side, .bands = 2,
                            .band = band, .has_nodata = turn & 2, .low = 0, .high = 1, .nodata = 90, .step = 0.01f,
                            .zero_point = turn % 100};
        int64_t place[4] = {0, height, (int64_t)((noise() >> 8) % 60) - 30, (int64_t)((noise() >> 8) % 60) - 30};
        if (turn % 3 == 0 && side <= width) /* rows inside the scene, up to its last sample */
            place[2] = 0, place[3] = width - side;
        const size_t count = 2 * (size_t)side * (size_t)side;
        void *out = octets(count * (cutter.out == SW_OUT_F32 ? sizeof(float) : 1));
        uint8_t *valid = octets((size_t)side * (size_t)side);
        sw_band_stats *each = turn & 8 ? octets(2 * sizeof *each) : NULL;
        sw_tile_stats stats;
        REQUIRE(cut(&cutter, &window, data, place, out, valid, each, &stats) == SW_OK);
        int64_t bad = 0;
        for (int32_t i = 0; i < side * side; i++) {
            REQUIRE(valid[i] <= 1);
            if (cutter.out == SW_OUT_F32)
                REQUIRE(((float *)out)[i] >= 0 && ((float *)out)[i] <= 1);
            bad += !valid[i];
        }
        REQUIRE(stats.pixels >= 0 && stats.nodata >= 0 && stats.nodata <= bad && stats.nodata <= stats.pixels);
        place[0] = 1; /* now a row is missing, or the window runs out of the scene */
        REQUIRE(cut(&cutter, &window, data, place, out, valid, each, &stats) == SW_E_ARGUMENT);
        place[1] = height + 1;
        const int code = cut(&cutter, &window, data, place, out, valid, each, &stats);
        REQUIRE(code == SW_OK || (code == SW_E_WINDOW && stats.missing_row == 0));
        free(data);
        free(out);
        free(valid);
        free(each);
    }
    const sw_window window = {1, 1, 1, 1, 1};
    const int64_t places[][4] = {{0, 1, INT64_MIN, 0}, {0, 1, 0, INT64_MAX}, {0, INT64_MAX, 0, 0},
                                 {INT64_MAX, 1, 0, 0}, {-1, 1, 0, 0}, {0, 0, 0, 0}};
    sw_tile_stats stats;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        sw_cutter cutter = {.side = 4, .bands = 1};
        REQUIRE(cut(&cutter, &window, NULL, places[i], NULL, NULL, NULL, &stats) == SW_E_ARGUMENT);
    }
    const int64_t origin[4] = {0, 1, 0, 0};
    const sw_window windows[] = {{0, 1, 1, 1, 1}, {INT64_MAX, 1, 1, 1, 1}, {1, INT64_MAX, 1, 1, 1},
                                 {1, 1, -1, 1, 1}, {1, 1, 1, 0, 1}, {1, 1, 1, 1, -1}};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        sw_cutter cutter = {.side = 4, .bands = 1};
        REQUIRE(cut(&cutter, windows + i, NULL, origin, NULL, NULL, NULL, &stats) == SW_E_ARGUMENT);
    }
    const sw_cutter cutters[] = {
        {.side = 0, .bands = 1}, {.side = SW_TILE_SIDE_MAX + 1, .bands = 1}, {.side = 4, .bands = 0},
        {.side = 4, .bands = 1, .sample = 4}, {.side = 4, .bands = 1, .out = 3},
        {.side = 4, .bands = 1, .out = SW_OUT_U8, .step = 0}, {.side = 4, .bands = 1, .out = SW_OUT_U8, .step = NAN},
        {.side = 4, .bands = 1, .out = SW_OUT_U8, .step = 1, .zero_point = 256},
    };
    for (size_t i = 0; i < sizeof cutters / sizeof *cutters; i++) {
        sw_cutter cutter = cutters[i];
        REQUIRE(cut(&cutter, &window, NULL, origin, NULL, NULL, NULL, &stats) == SW_E_ARGUMENT);
        REQUIRE(sw_cutter_prove(&cutters[i]) == SW_E_ARGUMENT);
    }
}

static void test_stitch(void)
{
    for (int turn = 0; turn < 400; turn++) {
        const int32_t core = 1 + (int32_t)((noise() >> 8) % 12), margin = (int32_t)((noise() >> 8) % 3);
        const int32_t seam = (int32_t)((noise() >> 8) % 7) % (core / 2 + 1), stride = core - seam;
        const int32_t width = 1 + (int32_t)((noise() >> 8) % 40), height = 1 + (int32_t)((noise() >> 8) % 40);
        const int32_t classes = 1 + (int32_t)((noise() >> 8) % 3), side = core + 2 * margin;
        const int64_t across = width > seam ? (width - seam + stride - 1) / stride : 1;
        const int64_t down = height > seam ? (height - seam + stride - 1) / stride : 1;
        const sw_grid grid = {width, side, seam + 2 * margin, margin, classes, 0.5f};
        const size_t plane = (size_t)side * (size_t)side, c = (size_t)classes;
        float *scores = octets(c * plane * sizeof *scores), *ramp = octets((size_t)seam * sizeof *ramp);
        sw_stitch_ramp(ramp, seam);
        float *right = octets(c * (size_t)core * (size_t)seam * sizeof *right);
        float *below = octets(c * (size_t)seam * (size_t)width * sizeof *below);
        uint8_t *labels = octets((size_t)width * (size_t)height);
        memset(labels, 99, (size_t)width * (size_t)height);
        for (size_t i = 0; i < c * plane; i++)
            scores[i] = i < plane ? 0.75f : 0.25f;
        if (turn % 10 == 0)
            scores[0] = NAN, scores[plane - 1] = INFINITY;
        int64_t confidence = 0;
        for (int64_t r = 0; r < down; r++)
            for (int64_t x = 0; x < across; x++) {
                const int64_t top = r * stride, last = r == down - 1;
                const sw_place place = {x, across, last ? height - top : core, r == 0, (int32_t)last};
                REQUIRE(sw_stitch_put(scores, &grid, &place, ramp, right, below, labels + top * width, width,
                                      &confidence) == SW_OK);
            }
        for (int32_t i = 0; i < width * height; i++)
            REQUIRE(labels[i] == (classes == 1) || (turn % 10 == 0 && labels[i] < classes));
        if (turn % 10)
            REQUIRE(confidence == (int64_t)width * height * (SW_CONFIDENCE_ONE / 2));
        sw_place wrong = {across, across, core, 1, 0};
        REQUIRE(sw_stitch_put(scores, &grid, &wrong, ramp, right, below, labels, width, &confidence)
                == SW_E_ARGUMENT);
        wrong = (sw_place){0, across, core + 1, 1, 1};
        REQUIRE(sw_stitch_put(scores, &grid, &wrong, ramp, right, below, labels, width, &confidence)
                == SW_E_ARGUMENT);
        free(scores);
        free(ramp);
        free(right);
        free(below);
        free(labels);
    }
}

static void test_answer(void)
{
    for (int turn = 0; turn < 2000; turn++) {
        const int32_t side = 1 + (int32_t)((noise() >> 8) % 20), classes = 1 + (int32_t)((noise() >> 8) % 4);
        sw_own own = {.side = side};
        own.first_row = (int32_t)(noise() >> 8) % side, own.first_col = (int32_t)(noise() >> 8) % side;
        own.end_row = own.first_row + (int32_t)(noise() >> 8) % (side - own.first_row + 1);
        own.end_col = own.first_col + (int32_t)(noise() >> 8) % (side - own.first_col + 1);
        const int64_t rows = own.end_row - own.first_row, columns = own.end_col - own.first_col;
        const size_t plane = (size_t)side * (size_t)side, count = (size_t)classes * plane;
        float *scores = octets(count * sizeof *scores);
        uint8_t *valid = octets(plane), *open = octets((size_t)(rows * columns));
        for (size_t i = 0; i < count; i++) { /* any bit pattern in every seventh */
            const uint32_t bits = noise() ^ noise() << 16;
            scores[i] = (float)(noise() >> 8) / (float)(1 << 24);
            if (i % 7 == (size_t)turn % 7 && turn % 2)
                memcpy(scores + i, &bits, sizeof bits);
        }
        for (size_t i = 0; i < plane; i++)
            valid[i] = noise() >> 31;
        memset(open, 1, (size_t)(rows * columns));
        REQUIRE(sw_answer_close(valid, &own, open, columns) == SW_OK);
        REQUIRE(sw_holds_only(valid, side, side, side, valid, 1) == (memchr(valid, !valid[0], plane) == NULL));
        REQUIRE(sw_holds_only(valid, side, side, side - 1, valid, 1) == SW_E_ARGUMENT);
        sw_answer answer;
        REQUIRE(sw_answer_measure(scores, classes, &own, -1e-4f, 1 + 1e-4f, open, columns, &answer) == SW_OK);
        REQUIRE(answer.pixels >= 0 && answer.pixels <= rows * columns && answer.bad >= 0);
        REQUIRE(answer.margin >= 0 && answer.margin <= answer.pixels * SW_MARGIN_ONE);
        REQUIRE(sw_answer_blank(open, open, rows * columns, 0) <= rows * columns);
        own.end_col = side + 1;
        REQUIRE(sw_answer_close(valid, &own, open, columns) == SW_E_ARGUMENT);
        REQUIRE(sw_answer_measure(scores, classes, &own, 0, 1, open, columns, &answer) == SW_E_ARGUMENT);
        free(scores);
        free(valid);
        free(open);
    }
}

static void test_regions(void)
{
    for (int turn = 0; turn < 300; turn++) {
        const int32_t width = 1 + (int32_t)((noise() >> 8) % 33), height = 1 + (int32_t)((noise() >> 8) % 20);
        const size_t runs = (size_t)(width + 1) / 2, most = (size_t)width + 1;
        sw_scan scan = {.width = width, .value = 1};
        sw_run *one = scan.above = octets(runs * sizeof *one), *two = scan.here = octets(runs * sizeof *two);
        scan.table = octets(most * sizeof *scan.table);
        scan.parent = octets(most * sizeof *scan.parent), scan.renamed = octets(most * sizeof *scan.renamed);
        sw_region *closed = octets(most * sizeof *closed);
        uint8_t *labels = octets((size_t)width * (size_t)height);
        const uint32_t filled = noise() >> 24;
        int64_t pixels = 0, area = 0, taken = 0;
        for (int32_t i = 0; i < width * height; i++) {
            labels[i] = turn % 5 == 0 ? (uint8_t)((i % width) % 2 == 0 && (i / width) % 2 == 0) : noise() >> 24 < filled;
            pixels += labels[i];
        }
        for (int64_t row = 0; row < height; row += taken) {
            int64_t count =
                sw_regions_feed(&scan, labels + row * width, height - row, width, closed, (int64_t)most, &taken);
            REQUIRE(count >= 0 && taken >= 1);
            for (int64_t i = 0; i < count; i++)
                area += closed[i].area;
        }
        int64_t count = sw_regions_finish(&scan, closed, (int64_t)most);
        REQUIRE(count >= 0);
        for (int64_t i = 0; i < count; i++)
            area += closed[i].area;
        REQUIRE(area == pixels);
        REQUIRE(sw_regions_feed(&scan, labels, 1, width, closed, width, &taken) == SW_E_ARGUMENT);
        REQUIRE(sw_regions_finish(&scan, closed, width) == SW_E_ARGUMENT);
        free(one);
        free(two);
        free(scan.table);
        free(scan.parent);
        free(scan.renamed);
        free(closed);
        free(labels);
    }
}

static void test_mask(void)
{
    for (int turn = 0; turn < 400; turn++) {
        const size_t count = (noise() >> 8) % 200;
        const uint32_t kinds = 1 + (noise() >> 8) % 4;
        uint8_t *pixels = octets(count), *again = octets(count), *code = octets(2 * count);
        uint64_t counts[256] = {0}, counts_again[256] = {0};
        size_t where = 0;
        for (size_t i = 0; i < count; i++)
            pixels[i] = (uint8_t)(turn % 3 ? (noise() >> 24) % kinds : noise() >> 24);
        const int64_t length = sw_mask_encode(pixels, count, code, 2 * count, counts);
        REQUIRE(length >= 0 && length <= (int64_t)(2 * count));
        uint8_t *exact = octets((size_t)length); /* so that an octet read behind the end is seen */
        memcpy(exact, code, (size_t)length);
        REQUIRE(sw_mask_decode(exact, (size_t)length, again, count, counts_again, &where) == 0);
        REQUIRE(memcmp(pixels, again, count) == 0 && memcmp(counts, counts_again, sizeof counts) == 0);
        for (int64_t cut = 0; cut < length; cut++) {
            uint8_t *part = octets((size_t)cut);
            memcpy(part, code, (size_t)cut);
            REQUIRE(sw_mask_decode(part, (size_t)cut, again, count, counts_again, &where) == SW_MASK_CUT_SHORT);
            free(part);
        }
        if (length > 0)
            REQUIRE(sw_mask_encode(pixels, count, code, (size_t)length - 1, counts) == SW_E_SPACE);
        for (int damage = 0; damage < 50 && length > 0; damage++) {
            exact[noise() % (uint32_t)length] = (uint8_t)(noise() >> 24);
            REQUIRE(sw_mask_decode(exact, (size_t)length, again, count, counts_again, &where) >= 0);
        }
        free(pixels);
        free(again);
        free(code);
        free(exact);
    }
}

static void test_gate(void)
{
    for (int turn = 0; turn < 800; turn++) {
        const int64_t rows = 1 + (noise() >> 8) % 9, cols = 1 + (noise() >> 8) % 140, depth = 1 + (noise() >> 8) % 20;
        const size_t size = turn % 4 == 0 ? 1 : turn % 4 == 3 ? 4 : 2, samples = (size_t)(rows * cols * depth);
        uint8_t *data = octets(samples * size);
        for (size_t i = 0; i < samples * size; i++)
            data[i] = (uint8_t)(noise() >> 16); /* as floats: any bit pattern */
        int32_t *band = octets((size_t)depth * sizeof *band);
        for (int32_t b = 0; b < depth; b++)
            band[b] = b;
        sw_gate gate = {.sample = turn % 4, .bands = (int32_t)depth, .band = band, .rows = rows, .cols = cols,
                        .row_stride = cols * depth, .col_stride = depth, .band_stride = 1, .has_nodata = turn & 8,
                        .has_bright = turn & 16, .nodata = 90, .bright = 1000};
        if (turn & 4)
            gate.row_stride = cols, gate.col_stride = 1, gate.band_stride = rows * cols;
        double *seen = octets(3 * (size_t)depth * sizeof *seen);
        sw_gate_counts counts;
        REQUIRE(sw_gate_look(data, &gate, seen, seen + depth, seen + 2 * depth, &counts) == SW_OK);
        REQUIRE(counts.nodata >= 0 && counts.bright >= 0 && counts.nodata + counts.bright <= rows * cols);
        for (int64_t b = 0; b < depth; b++)
            REQUIRE(counts.nodata == rows * cols || seen[b] <= seen[depth + b]);
        gate.cols = 0;
        REQUIRE(sw_gate_look(data, &gate, seen, seen, seen, &counts) == SW_E_ARGUMENT);
        gate.cols = cols, gate.sample = 4;
        REQUIRE(sw_gate_look(data, &gate, seen, seen, seen, &counts) == SW_E_ARGUMENT);
        free(data);
        free(band);
        free(seen);
    }
}

static void test_spectral(void)
{
    for (int turn = 0; turn < 400; turn++) {
        const int64_t rows = 1 + (noise() >> 8) % 3, cols = 1 + (noise() >> 8) % 70, depth = 1 + (noise() >> 8) % 20;
        const size_t size = turn % 4 == 0 ? 1 : turn % 4 == 3 ? 4 : 2, samples = (size_t)(rows * cols * depth);
        const size_t padded = (size_t)(depth + 7) / 8 * 8;
        uint8_t *data = octets(samples * size);
        for (size_t i = 0; i < samples * size; i++)
            data[i] = (uint8_t)(noise() >> 16); /* as floats: any bit pattern */
        int32_t *band = octets((size_t)depth * sizeof *band);
        double *origin = octets((size_t)depth * sizeof *origin), *sum = octets(padded * sizeof *sum);
        double *room = octets(SW_SPECTRA_PIXELS * padded * sizeof *room), *above = octets(padded * sizeof *above);
        double *products = octets(padded * padded * sizeof *products);
        float *out = octets((size_t)(rows * cols) * sizeof *out);
        memset(sum, 0, padded * sizeof *sum);
        memset(products, 0, padded * padded * sizeof *products);
        for (size_t b = 0; b < padded; b++)
            above[b] = b < (size_t)depth ? 0.5 : 0;
        for (int32_t b = 0; b < depth; b++)
            band[b] = turn & 32 ? (int32_t)depth - 1 - b : b, origin[b] = 1;
        sw_spectra spectra = {.sample = turn % 4, .bands = (int32_t)depth, .band = band, .rows = rows, .cols = cols,
                              .row_stride = cols * depth, .col_stride = depth, .band_stride = 1,
                              .has_nodata = turn & 8, .nodata = 90, .origin = origin, .room = room};
        if (turn & 16)
            spectra.row_stride = cols, spectra.col_stride = 1, spectra.band_stride = rows * cols;
        const int64_t valid = sw_spectra_add(data, &spectra, sum, products);
        REQUIRE(valid >= 0 && valid <= rows * cols);
        REQUIRE(sw_spectra_weigh(data, &spectra, above, 1, NULL, 0, out) == valid);
        REQUIRE(sw_spectra_weigh(data, &spectra, above, 1, above, 0, out) == valid);
        spectra.bands = SW_SPECTRA_BANDS_MAX + 1;
        REQUIRE(sw_spectra_add(data, &spectra, sum, products) == SW_E_ARGUMENT);
        spectra.bands = 1, spectra.sample = 4;
        REQUIRE(sw_spectra_weigh(data, &spectra, above, 1, NULL, 0, out) == SW_E_ARGUMENT);
        free(data);
        free(band);
        free(origin);
        free(sum);
        free(room);
        free(above);
        free(products);
        free(out);
    }
}

static void test_runs(void)
{
    for (int turn = 0; turn < 400; turn++) {
        const size_t count = (noise() >> 8) % (turn % 10 ? 300 : 9000), row = turn % 2 ? 0 : 1 + (noise() >> 8) % 70;
        const uint32_t often = noise() >> 24;
        uint8_t *pixels = octets(count);
        for (size_t i = 0; i < count; i++)
            pixels[i] = (uint8_t)(i == 0 ? 0 : pixels[i - 1] ^ (noise() >> 24 < often));
        size_t runs = 0;
        for (size_t i = 0; i < count; i++)
            runs += i == 0 || (row && i % row == 0) || pixels[i] != pixels[i - 1];
        uint32_t *lengths = octets(runs * sizeof *lengths); /* exactly as many as there are */
        uint8_t *values = octets(runs);
        REQUIRE(sw_runs_find(pixels, count, row, lengths, values, runs) == (int64_t)runs);
        size_t at = 0;
        for (size_t i = 0; i < runs; at += lengths[i++])
            REQUIRE(lengths[i] > 0 && at < count && values[i] == pixels[at]);
        REQUIRE(at == count);
        if (runs > 0)
            REQUIRE(sw_runs_find(pixels, count, row, lengths, values, runs - 1) == SW_E_SPACE);
        free(pixels);
        free(lengths);
        free(values);
    }
}

/* Writes codes as wide as the decoder will expect them. */
typedef struct {
    uint8_t *octets;
    size_t bits;
    uint32_t width, free_code;
    int fresh;
} packer;

static void put_code(packer *p, uint32_t code)
{
    for (uint32_t bit = p->width; bit-- > 0; p->bits++) {
        if (p->bits % 8 == 0)
            p->octets[p->bits / 8] = 0;
        p->octets[p->bits / 8] |= (uint8_t)((code >> bit & 1u) << (7 - p->bits % 8));
    }
    if (code == 256)
        p->width = 9, p->free_code = 258, p->fresh = 1;
    else if (p->fresh)
        p->fresh = 0;
    else if (p->free_code < 4096 && ++p->free_code)
        p->width += p->free_code == 511 || p->free_code == 1023 || p->free_code == 2047;
}

static void test_lzw(void)
{
    size_t made = 0, again = 0, full_tables = 0, cut_tables = 0;
    int32_t at_fault = 0;
    for (int turn = 0; turn < 300; turn++) {
        const size_t codes = turn % 10 ? (noise() >> 8) % 300 : 4500;
        packer p = {.octets = octets(2 * codes + 8), .width = 9, .free_code = 258, .fresh = 1};
        put_code(&p, 256);
        for (size_t i = 0; i < codes; i++) { /* any code that the table has, and the one that is just being made */
            const uint32_t literal = noise() >> 24, strings = p.free_code - 257;
            const int short_one = p.fresh || noise() >> 31 || turn % 20 == 0;
            const uint32_t code = short_one ? literal : 258 + (noise() >> 8) % strings;
            put_code(&p, code < 4096 ? code : 4095);
        }
        put_code(&p, 257);
        full_tables += p.free_code == 4096;
        const size_t length = (p.bits + 7) / 8;
        uint8_t *exact = octets(length); /* so that an octet read behind the end is seen */
        memcpy(exact, p.octets, length);
        size_t room = 1 << 22;
        uint8_t *most = octets(room);
        REQUIRE(sw_lzw_decode(exact, length, most, room, &made, &at_fault) == 0);
        REQUIRE(made >= codes || made == room);
        for (int i = 0; i < 40; i++) { /* into less room than there is to fill, to the octet */
            room = made ? (noise() >> 4) % (i < 20 ? (made < 64 ? made : 64) : made) : 0;
            uint8_t *out = octets(room);
            REQUIRE(sw_lzw_decode(exact, length, out, room, &again, &at_fault) == 0 && again == room);
            REQUIRE(memcmp(out, most, room) == 0);
            cut_tables += room < made;
            free(out);
        }
        for (int damage = 0; damage < 60; damage++) { /* and any octets at all, the damage left in */
            exact[noise() % (uint32_t)length] = (uint8_t)(noise() >> 24);
            const size_t kept = damage % 3 ? length : noise() % (uint32_t)(length + 1);
            uint8_t *part = octets(kept);
            memcpy(part, exact, kept);
            room = (noise() >> 8) % 5000;
            uint8_t *out = octets(room);
            const int fault = sw_lzw_decode(part, kept, out, room, &again, &at_fault);
            REQUIRE(fault >= 0 && fault <= SW_LZW_NO_ENTRY && again <= room);
            free(out);
            free(part);
        }
        free(exact);
        free(most);
        free(p.octets);
    }
    REQUIRE(full_tables > 10 && cut_tables > 1000);
    REQUIRE(sw_lzw_decode(NULL, 0, NULL, 0, &made, &at_fault) == 0 && made == 0);
    if (SIZE_MAX > UINT32_MAX)
        REQUIRE(sw_lzw_decode(NULL, 0, NULL, (size_t)UINT32_MAX + 1, &made, &at_fault) == SW_E_ARGUMENT);
}

/* What sw_trace_rings made, cut at its pinches: the same corners, in loops of four or more. */
static void require_cut(const sw_rings *rings)
{
    const int64_t corners = rings->point_count, most = corners / 4;
    int64_t longest = 1;
    for (int64_t ring = 0; ring < rings->ring_count; ring++) {
        const int64_t count = rings->ring_end[ring] - (ring > 0 ? rings->ring_end[ring - 1] : 0);
        longest = count > longest ? count : longest;
    }
    int bits = 1;
    while (1 << bits < 2 * longest)
        bits++;
    const size_t table = (size_t)1 << bits;
    int32_t *out = octets(2 * (size_t)corners * sizeof *out), *hash = octets(table * sizeof *hash);
    int32_t *path = octets((size_t)longest * sizeof *path), *place = octets((size_t)longest * sizeof *place);
    int64_t *end = octets((size_t)most * sizeof *end), *of = octets((size_t)most * sizeof *of), from = 0;
    uint8_t *outer = octets((size_t)most);
    const int64_t loops = sw_rings_cut(rings->points, rings->ring_end, rings->ring_pinched, rings->ring_count, out, end,
                                       of, outer, most, path, place, hash, bits);
    REQUIRE(loops >= rings->ring_count && (loops == 0 || end[loops - 1] == corners));
    for (int64_t i = 0; i < loops; from = end[i++])
        REQUIRE(end[i] - from >= 4 && outer[i] <= 1);
    if (loops > 0)
        REQUIRE(sw_rings_cut(rings->points, rings->ring_end, rings->ring_pinched, rings->ring_count, out, end, of, outer,
                             loops - 1, path, place, hash, bits) == SW_E_SPACE);
    free(out);
    free(hash);
    free(path);
    free(place);
    free(end);
    free(of);
    free(outer);
}

static void test_trace(void)
{
    for (int turn = 0; turn < 200; turn++) {
        const int64_t rows = 1 + (noise() >> 8) % 20, cols = 1 + (noise() >> 8) % 20, all = rows * cols;
        uint8_t *map = octets((size_t)all), *visited = octets((size_t)(all + 7) / 8);
        const uint32_t filled = noise() >> 24;
        int64_t pixels = 0, in_runs = 0, doubled = 0;
        for (int64_t i = 0; i < all; i++)
            pixels += map[i] = noise() >> 24 < filled;
        const int64_t runs = sw_runs_count(map, rows, cols, cols, 1);
        const size_t room = (size_t)runs * sizeof(int32_t);
        int32_t *row = octets(room), *first = octets(room), *end = octets(room), *part = octets(room);
        int32_t *parent = octets(room);
        const int64_t parts = sw_runs_label(map, rows, cols, cols, 1, runs, row, first, end, part, parent);
        REQUIRE(parts >= 0 && parts <= runs);
        for (int64_t i = 0; i < runs; i++)
            in_runs += end[i] - first[i];
        REQUIRE(in_runs == pixels);
        if (runs > 0)
            REQUIRE(sw_runs_label(map, rows, cols, cols, 1, runs - 1, row, first, end, part, parent) == SW_E_SPACE);
        memset(visited, 0, (size_t)(all + 7) / 8);
        int64_t corners = turn % 2 ? 4 : 2 * (rows + 1) * (cols + 1) + 4, ring_room = 1 + turn % 5;
        sw_rings rings = {.point_capacity = corners, .ring_capacity = ring_room};
        rings.points = octets(2 * (size_t)corners * sizeof *rings.points);
        rings.ring_end = octets((size_t)ring_room * sizeof *rings.ring_end);
        rings.ring_start = octets((size_t)ring_room * sizeof *rings.ring_start);
        rings.ring_pinched = octets((size_t)ring_room);
        while (rings.cursor < all) {
            REQUIRE(sw_trace_rings(map, rows, cols, cols, 1, visited, &rings) == 0);
            if (rings.ring_count == 0 && rings.cursor < all) {
                REQUIRE(rings.point_count > corners);
                corners = rings.point_capacity = rings.point_count;
                free(rings.points);
                rings.points = octets(2 * (size_t)corners * sizeof *rings.points);
                continue;
            }
            for (int64_t ring = 0, from = 0; ring < rings.ring_count; from = rings.ring_end[ring++])
                for (int64_t i = from; i < rings.ring_end[ring]; i++) { /* the surveyor's formula, y downward */
                    const int64_t next = i + 1 < rings.ring_end[ring] ? i + 1 : from;
                    doubled += (int64_t)rings.points[2 * i] * rings.points[2 * next + 1]
                             - (int64_t)rings.points[2 * next] * rings.points[2 * i + 1];
                }
            require_cut(&rings);
        }
        REQUIRE(doubled == 2 * pixels); /* outer rings less their holes */
        free(map);
        free(visited);
        free(row);
        free(first);
        free(end);
        free(part);
        free(parent);
        free(rings.points);
        free(rings.ring_end);
        free(rings.ring_start);
        free(rings.ring_pinched);
    }
}

static void require_balance(sw_clock *clock)
{
    sw_counters c;
    REQUIRE(sw_clock_counters(clock, &c) == SW_OK);
    REQUIRE(c.released == c.run + c.late + c.skipped + c.open);
}

static void *read_all_the_time(void *clock)
{
    sw_frame *frames = octets(8 * sizeof *frames);
    for (int i = 0; i < 2000; i++) {
        require_balance(clock);
        REQUIRE(sw_clock_history(clock, frames, 8) <= 8);
    }
    free(frames);
    return NULL;
}

static void *wait_to_the_end(void *clock)
{
    sw_slot slot;
    while (sw_clock_wait(clock, 10000000, &slot) >= 0)
        ;
    return NULL;
}

static void test_frame_clock(void)
{
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    sw_clock_setup setup = {.minor_us = 1000, .history = 16, .pet_every_frames = 4, .max_missed = 1000,
                            .watchdog_fd = pipe_ends[1], .realtime = 1, .priority = 10,
                            .duty_period = 1, .core = -1};
    sw_clock *clock = sw_clock_new(&setup);
    sw_clock_grant grant;
    sw_slot slot;
    sw_frame *frames = octets(16 * sizeof *frames);
    REQUIRE(clock != NULL);
    REQUIRE(sw_clock_wait(clock, 1000, &slot) == SW_E_STOPPED);
    REQUIRE(sw_clock_done(clock, 0) == SW_E_ORDER && sw_clock_done(clock, -1) == SW_E_ORDER);
    REQUIRE(sw_clock_history(clock, frames, 16) == 0);
    REQUIRE(sw_clock_start(clock, &grant) == SW_OK && grant.lock_memory == -1);
    REQUIRE(sw_clock_start(clock, &grant) == SW_E_ORDER);
    pthread_t reader;
    REQUIRE(pthread_create(&reader, NULL, read_all_the_time, clock) == 0);
    for (int i = 0; i < 200; i++) {
        REQUIRE(sw_clock_wait(clock, 10000000, &slot) == 1);
        REQUIRE(sw_clock_check_in(clock, 1) == 0);
        if (i % 50 == 7)
            usleep(5000); /* a stall: late, and the frames in between skipped */
        if (i % 3)
            REQUIRE(sw_clock_done(clock, slot.frame) >= 0);
        REQUIRE(sw_clock_done(clock, slot.frame + 1) == SW_E_ORDER);
    }
    usleep(40000); /* more frames than the history holds */
    REQUIRE(sw_clock_history(clock, frames, 16) == 16);
    for (int i = 1; i < 16; i++)
        REQUIRE(frames[i].frame == frames[i - 1].frame + 1);
    REQUIRE(sw_clock_history(clock, frames, 0) == 0 && sw_clock_history(clock, frames, -3) == 0);
    pthread_join(reader, NULL);
    pthread_t waiter;
    REQUIRE(pthread_create(&waiter, NULL, wait_to_the_end, clock) == 0);
    REQUIRE(sw_clock_stop(clock) == SW_OK && sw_clock_stop(clock) == SW_OK);
    pthread_join(waiter, NULL);
    sw_counters c;
    REQUIRE(sw_clock_counters(clock, &c) == SW_OK);
    REQUIRE(c.pets > 0 && c.run > 0 && c.late > 0 && c.skipped > 0);
    require_balance(clock);
    sw_clock_free(clock);
    sw_clock_free(NULL);
    close(pipe_ends[0]);
    close(pipe_ends[1]);

    clock = sw_clock_new(&setup); /* freed while it runs, its watchdog closed */
    REQUIRE(clock != NULL && sw_clock_start(clock, &grant) == SW_OK);
    REQUIRE(sw_clock_check_in(clock, 1) == SW_OK);
    usleep(12000);
    sw_clock_free(clock);

    clock = sw_clock_new(&setup); /* freed without having run */
    sw_clock_free(clock);
    sw_clock_setup wrong = setup;
    wrong.minor_us = 99;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    wrong = setup, wrong.history = 0;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    wrong = setup, wrong.priority = 100;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    wrong = setup, wrong.catch_up_frames = 16;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    wrong = setup, wrong.tolerance_us = 1001;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    wrong = setup, wrong.core = 1024;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    wrong = setup, wrong.duty_period = 0;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    wrong = setup, wrong.duties_after = -1;
    REQUIRE(sw_clock_new(&wrong) == NULL);
    free(frames);
}

static void test_activity_account(void)
{
    enum { COUNT = 3, RECENT = 5, RUNS = 400 };
    REQUIRE(sw_account_new(0, 1, 0) == NULL && sw_account_new(SW_ACCOUNT_MOST + 1, 1, 0) == NULL);
    REQUIRE(sw_account_new(1, 0, 0) == NULL && sw_account_new(1, SW_ACCOUNT_MOST_RECENT + 1, 0) == NULL);
    REQUIRE(sw_account_new(1, 1, -1) == NULL);
    sw_account *account = sw_account_new(COUNT, RECENT, 7);
    sw_activity *read = octets(sizeof *read);
    REQUIRE(account != NULL);
    for (int32_t wrong = -1; wrong <= COUNT; wrong += COUNT + 1) {
        REQUIRE(sw_account_declare(account, wrong, 1) == SW_E_ARGUMENT);
        REQUIRE(sw_account_begin(account, wrong) == SW_E_ARGUMENT && sw_account_end(account, wrong) == SW_E_ARGUMENT);
        REQUIRE(sw_account_note(account, wrong, 1, 1) == SW_E_ARGUMENT);
        REQUIRE(sw_account_read(account, wrong, read) == SW_E_ARGUMENT);
    }
    REQUIRE(sw_account_declare(account, 0, -1) == SW_E_ARGUMENT && sw_account_declare(account, 2, 40) == SW_OK);
    REQUIRE(sw_account_end(account, 0) == SW_E_ORDER && sw_account_begin(account, 0) > 0);
    REQUIRE(sw_account_end(account, 1) == SW_E_ORDER && sw_account_end(account, 0) > 0);
    REQUIRE(sw_account_leave(account, 0) == SW_E_ORDER && sw_account_leave(account, COUNT) == SW_E_ARGUMENT);
    int64_t kept[RUNS], over = 0, worst = 0;
    for (int64_t run = 0; run < RUNS; run++) {
        kept[run] = (int64_t)(noise() % 60000) - 1000;
        REQUIRE(sw_account_note(account, 2, kept[run], INT64_MAX / RUNS) == SW_OK);
        over += kept[run] >= 41000;
        worst = run >= 7 && kept[run] > worst ? kept[run] : worst;
        int64_t recent = 0;
        for (int64_t i = run; i >= 0 && i > run - RECENT; i--)
            recent = kept[i] > recent ? kept[i] : recent;
        REQUIRE(sw_account_read(account, 2, read) == SW_OK && read->recent.wall_ns == recent);
    }
    REQUIRE(read->runs == RUNS && read->ignored == 7 && read->over == over && read->worst.wall_ns == worst);
    for (int64_t bin = 0, wall = 0, cpu = 0; bin < SW_ACCOUNT_BINS; bin++) {
        wall += read->wall[bin], cpu += read->cpu[bin];
        REQUIRE(bin + 1 < SW_ACCOUNT_BINS || (wall == RUNS && cpu == RUNS));
    }
    for (int32_t bin = 1; bin < SW_ACCOUNT_BINS; bin++)
        REQUIRE(sw_account_bin(sw_account_bin_from(bin)) == bin
                && sw_account_bin(sw_account_bin_from(bin) - 1) == bin - 1);
    REQUIRE(sw_account_bin(INT64_MIN) == 0 && sw_account_bin(INT64_MAX) == SW_ACCOUNT_BINS - 1);
    REQUIRE(sw_account_bin_from(-1) == 0 && sw_account_bin_from(SW_ACCOUNT_BINS) > 0);
    sw_account_free(account);
    sw_account_free(NULL);
    free(read);
}

int main(void)
{
    test_checks();
    test_tiles();
    test_stitch();
    test_answer();
    test_regions();
    test_mask();
    test_runs();
    test_gate();
    test_spectral();
    test_lzw();
    test_trace();
    drive_nms();
    drive_simplify();
    drive_vectors();
    drive_context();
    drive_bus();
    drive_bus_ring();
    test_frame_clock();
    drive_clock();
    test_activity_account();
    puts("test_core: all functions of the C core hold at their edges");
    return 0;
}
