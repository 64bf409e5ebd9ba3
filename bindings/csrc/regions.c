/* Connected regions of one class, found row by row. What is held is bounded by the width. */
#include "decl/codes.h"
#include "decl/regions.h"

#include <stddef.h>
#include <string.h>

static int32_t root_of(int32_t *parent, int32_t at)
{
    while (parent[at] != at) {
        parent[at] = parent[parent[at]]; /* halving keeps the paths short */
        at = parent[at];
    }
    return at;
}

static void absorb(sw_region *into, const sw_region *from)
{
    into->area += from->area;
    into->sum_row += from->sum_row;
    into->sum_col += from->sum_col;
    into->first_row = from->first_row < into->first_row ? from->first_row : into->first_row;
    into->first_col = from->first_col < into->first_col ? from->first_col : into->first_col;
    into->last_row = from->last_row > into->last_row ? from->last_row : into->last_row;
    into->last_col = from->last_col > into->last_col ? from->last_col : into->last_col;
}

static int32_t join(sw_scan *scan, int32_t one, int32_t two)
{
    one = root_of(scan->parent, one), two = root_of(scan->parent, two);
    if (one == two)
        return one;
    scan->parent[two] = one;
    absorb(&scan->table[one], &scan->table[two]);
    return one;
}

/* The runs of one row, each with its region; returns how many there are. */
static int32_t find_runs(sw_scan *scan, const uint8_t *labels, int32_t *regions)
{
    int32_t runs = 0, above = 0;
    for (int32_t x = 0; x < scan->width;) {
        const uint8_t *next = memchr(labels + x, scan->value, (size_t)(scan->width - x));
        if (next == NULL)
            break;
        int32_t first = (int32_t)(next - labels), end = first + 1, region = -1;
        while (end < scan->width && labels[end] == scan->value)
            end++;
        /* runs above that end left of the diagonal neighbour cannot touch this run or a later one */
        while (above < scan->runs_above && scan->above[above].end < first)
            above++;
        for (int32_t i = above; i < scan->runs_above && scan->above[i].first <= end; i++)
            region = region < 0 ? root_of(scan->parent, scan->above[i].region)
                                : join(scan, region, scan->above[i].region);
        int64_t length = end - first;
        const sw_region piece = {length, scan->row, first, scan->row, end - 1, scan->row * length,
                                 length * (first + end - 1) / 2};
        if (region < 0) {
            region = (*regions)++;
            scan->parent[region] = region;
            scan->table[region] = piece;
        } else
            absorb(&scan->table[region], &piece);
        scan->here[runs++] = (sw_run){first, end, region};
        x = end;
    }
    return runs;
}

/* One row; labels NULL stands for a row without the class. Returns the number of regions that it closed. */
static int64_t take_row(sw_scan *scan, const uint8_t *labels, sw_region *closed)
{
    int32_t regions = scan->open, kept = 0;
    for (int32_t i = 0; i < regions; i++)
        scan->parent[i] = i;
    const int32_t runs = labels == NULL ? 0 : find_runs(scan, labels, &regions);
    for (int32_t i = 0; i < regions; i++)
        scan->renamed[i] = -1;
    for (int32_t i = 0; i < runs; i++)
        scan->renamed[root_of(scan->parent, scan->here[i].region)] = 0; /* goes on in the next row */
    int64_t count = 0;
    for (int32_t i = 0; i < regions; i++) {
        if (scan->parent[i] != i)
            continue;
        if (scan->renamed[i] < 0)
            closed[count++] = scan->table[i];
        else {
            scan->renamed[i] = kept; /* kept <= i: nothing is overwritten before it is read */
            scan->table[kept++] = scan->table[i];
        }
    }
    for (int32_t i = 0; i < runs; i++)
        scan->here[i].region = scan->renamed[root_of(scan->parent, scan->here[i].region)];
    sw_run *swap = scan->above;
    scan->above = scan->here, scan->here = swap;
    scan->runs_above = runs, scan->open = kept;
    scan->row++;
    return count;
}

int64_t sw_regions_feed(sw_scan *scan, const uint8_t *labels, int64_t rows, int64_t stride, sw_region *closed,
                        int64_t capacity, int64_t *taken)
{
    if (scan->width < 1 || rows < 0 || stride < 0 || capacity < (int64_t)scan->width + 1)
        return SW_E_ARGUMENT;
    int64_t count = 0;
    for (*taken = 0; *taken < rows && capacity - count > scan->width; ++*taken)
        count += take_row(scan, labels + *taken * stride, closed + count);
    return count;
}

int64_t sw_regions_finish(sw_scan *scan, sw_region *closed, int64_t capacity)
{
    if (scan->width < 1 || capacity < (int64_t)scan->width + 1)
        return SW_E_ARGUMENT;
    return take_row(scan, NULL, closed);
}
