/* sw_nms_keep against the quadratic rule. Input: threshold, kind of numbers, then boxes, scores and classes. */
#include "decl/nms.h"

#include <math.h>

#include "decl/codes.h"
#include "harness.h"

enum { MOST = 160 };

static float coordinate(input *from, unsigned kind)
{
    if (kind % 4 == 3) { /* any bits at all */
        const uint32_t bits = (uint32_t)take(from, 4);
        float number;
        memcpy(&number, &bits, sizeof number);
        return number;
    }
    const float small = (float)(int32_t)take(from, 1);
    return kind % 4 == 2 ? ldexpf(small, (int)(take(from, 1) % 60) - 30) : small / 4;
}

static double area(const float *box)
{
    return ((double)box[2] - (double)box[0]) * ((double)box[3] - (double)box[1]);
}

static int suppresses(const float *kept, const float *box, double threshold)
{
    const double across = fmin(kept[2], box[2]) - fmax(kept[0], box[0]);
    const double down = fmin(kept[3], box[3]) - fmax(kept[1], box[1]);
    if (!(across > 0 && down > 0) || area(box) <= 0 || area(kept) <= 0)
        return 0;
    const double both = across * down;
    return both > threshold * (area(kept) + area(box) - both);
}

/* By falling score, ties by rising index. */
static int goes_before(const float *scores, int64_t a, int64_t b)
{
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

static int64_t plain(const float *boxes, const float *scores, const int32_t *classes, int64_t count, double threshold,
                     int64_t *keep)
{
    int64_t order[MOST], kept = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i;
        for (; at > 0 && goes_before(scores, i, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int64_t i = 0; i < count; i++) {
        int stays = 1;
        for (int64_t k = 0; k < kept && stays; k++)
            stays = (classes && classes[keep[k]] != classes[order[i]])
                 || !suppresses(boxes + 4 * keep[k], boxes + 4 * order[i], threshold);
        if (stays)
            keep[kept++] = order[i];
    }
    return kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const unsigned about = (unsigned)take(&from, 1), kind = (unsigned)take(&from, 1);
    const double threshold = about == 255 ? NAN : about == 254 ? -0.5 : about == 253 ? 1.5 : about / 250.0;
    int64_t count = 0, expected[MOST];
    float numbers[4 * MOST], ranks[MOST];
    int32_t kinds[MOST];
    for (; count < MOST && from.left > 0; count++) {
        float *box = numbers + 4 * count;
        for (int k = 0; k < 4; k++)
            box[k] = coordinate(&from, kind);
        if (kind & 4)
            box[2] += box[0], box[3] += box[1];
        ranks[count] = kind & 8 ? coordinate(&from, kind) : (float)take(&from, 1) / 16;
        kinds[count] = kind & 16 ? (int32_t)(take(&from, 1) % 3) - 1 : 0;
    }
    float *boxes = copy_of(numbers, 4 * (size_t)count * sizeof *boxes), *scores = copy_of(ranks, (size_t)count * 4);
    int32_t *classes = kind & 16 ? copy_of(kinds, (size_t)count * sizeof *classes) : NULL;
    int64_t *keep = exactly((size_t)count * sizeof *keep);
    const int64_t octets = sw_nms_scratch(count);
    REQUIRE(octets >= 0);
    void *scratch = exactly((size_t)octets);
    sw_nms_account account = {0, 0, 0};
    const int64_t kept = sw_nms_keep(boxes, scores, classes, count, threshold, keep, scratch, &account);
    int64_t fault = 0;
    for (; fault < count; fault++) {
        const float *box = boxes + 4 * fault;
        if (!isfinite(box[0]) || !isfinite(box[1]) || !isfinite(box[2]) || !isfinite(box[3]) || !isfinite(scores[fault])
            || box[2] < box[0] || box[3] < box[1])
            break;
    }
    if (kept >= 0) {
        REQUIRE(fault == count && kept == plain(boxes, scores, classes, count, threshold, expected));
        REQUIRE(equal(keep, expected, (size_t)kept * sizeof *keep));
    } else if (kept == SW_E_ARGUMENT) {
        REQUIRE(!(threshold >= 0 && threshold <= 1));
    } else {
        REQUIRE((kept == SW_NMS_NOT_FINITE || kept == SW_NMS_INVERTED) && account.fault == fault && fault < count);
    }
    REQUIRE(sw_nms_scratch(-1 - count) == SW_E_ARGUMENT && sw_nms_scratch(SW_NMS_BOXES_MAX + 1) == SW_E_ARGUMENT);
    free(scratch);
    free(keep);
    free(classes);
    free(scores);
    free(boxes);
    return 0;
}
