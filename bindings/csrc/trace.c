/* Outlines of one class of a map: runs into 4-connected parts, edges into rings. Integers only, no memory of its own. */
#include "decl/trace.h"

#include "decl/codes.h"

typedef struct {
    const uint8_t *map;
    int64_t rows, cols, stride;
    uint8_t value;
} image;

static int inside(const image *im, int64_t row, int64_t col)
{
    return row >= 0 && row < im->rows && col >= 0 && col < im->cols && im->map[row * im->stride + col] == im->value;
}

/* The next run of `row` from `col` on; 0 if there is none. */
static int next_run(const image *im, int64_t row, int64_t col, int64_t *first, int64_t *end)
{
    const uint8_t *line = im->map + row * im->stride;
    while (col < im->cols && line[col] != im->value)
        col++;
    if (col >= im->cols)
        return 0;
    *first = col;
    while (col < im->cols && line[col] == im->value)
        col++;
    *end = col;
    return 1;
}

int64_t sw_runs_count(const uint8_t *map, int64_t rows, int64_t cols, int64_t stride, uint8_t value)
{
    const image im = {map, rows, cols, stride, value};
    int64_t count = 0;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t first, end = 0; next_run(&im, row, end, &first, &end);)
            count++;
    return count;
}

/* The first run of the part that `run` is in; halves the way for the next who asks. */
static int32_t root(int32_t *parent, int32_t run)
{
    while (parent[run] != run) {
        parent[run] = parent[parent[run]];
        run = parent[run];
    }
    return run;
}

static void join(int32_t *parent, int32_t one, int32_t other)
{
    one = root(parent, one);
    other = root(parent, other);
    if (one < other)
        parent[other] = one;
    else
        parent[one] = other;
}

int64_t sw_runs_label(const uint8_t *map, int64_t rows, int64_t cols, int64_t stride, uint8_t value, int64_t runs,
                      int32_t *row, int32_t *first, int32_t *end, int32_t *part, int32_t *parent)
{
    const image im = {map, rows, cols, stride, value};
    int64_t count = 0, above = 0, above_end = 0, parts = 0;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t here = count;
        for (int64_t from, to = 0; next_run(&im, r, to, &from, &to); count++) {
            if (count == runs)
                return SW_E_SPACE;
            row[count] = (int32_t)r;
            first[count] = (int32_t)from;
            end[count] = (int32_t)to;
            parent[count] = (int32_t)count;
            while (above < above_end && end[above] <= from)
                above++;
            for (int64_t a = above; a < above_end && first[a] < to; a++)
                join(parent, (int32_t)a, (int32_t)count);
        }
        above = here;
        above_end = count;
    }
    for (int64_t run = 0; run < count; run++) {
        const int32_t first_of_part = root(parent, (int32_t)run);
        part[run] = first_of_part == run ? (int32_t)parts++ : part[first_of_part];
    }
    return parts;
}

enum { RIGHT, DOWN, LEFT, UP };
static const int step_x[4] = {1, 0, -1, 0}, step_y[4] = {0, 1, 0, -1};
/* From a corner, the pixels ahead: at the right hand and at the left hand of each heading. */
static const int right_x[4] = {0, -1, -1, 0}, right_y[4] = {0, 0, -1, -1};
static const int left_x[4] = {0, 0, -1, -1}, left_y[4] = {-1, 0, 0, -1};

/* Walk the ring that begins along the upper edge of pixel (row, col). Writes at most `capacity` corners, returns how
 * many there are. mark 1 sets, 0 clears the bits of the upper edges it runs along. */
static int64_t walk(const image *im, int64_t row, int64_t col, uint8_t *visited, int mark, int32_t *points,
                    int64_t capacity, int *pinched)
{
    int64_t x = col, y = row, corners = 0;
    int heading = RIGHT, before = UP;
    *pinched = 0;
    do {
        if (heading != before) {
            if (corners < capacity) {
                points[2 * corners] = (int32_t)x;
                points[2 * corners + 1] = (int32_t)y;
            }
            corners++;
        }
        if (heading == RIGHT) {
            const int64_t pixel = y * im->cols + x;
            if (mark)
                visited[pixel >> 3] |= (uint8_t)(1u << (pixel & 7));
            else
                visited[pixel >> 3] &= (uint8_t)~(1u << (pixel & 7));
        }
        x += step_x[heading];
        y += step_y[heading];
        before = heading;
        const int at_right = inside(im, y + right_y[heading], x + right_x[heading]);
        const int at_left = inside(im, y + left_y[heading], x + left_x[heading]);
        if (!at_right) {
            *pinched |= at_left;
            heading = (heading + 1) & 3;
        } else if (at_left) {
            heading = (heading + 3) & 3;
        }
    } while (x != col || y != row || heading != RIGHT);
    return corners;
}

int sw_trace_rings(const uint8_t *map, int64_t rows, int64_t cols, int64_t stride, uint8_t value, uint8_t *visited,
                   sw_rings *rings)
{
    const image im = {map, rows, cols, stride, value};
    rings->point_count = rings->ring_count = 0;
    int64_t row = rings->cursor / cols, col = rings->cursor % cols - 1;
    for (; rings->cursor < rows * cols; rings->cursor++) {
        const int64_t pixel = rings->cursor;
        if (++col == cols) {
            col = 0;
            row++;
        }
        if (map[row * stride + col] != value || inside(&im, row - 1, col) || visited[pixel >> 3] >> (pixel & 7) & 1)
            continue;
        if (rings->ring_count == rings->ring_capacity)
            return SW_OK;
        const int64_t left = rings->point_capacity - rings->point_count;
        int pinched;
        const int64_t corners = walk(&im, row, col, visited, 1, rings->points + 2 * rings->point_count, left, &pinched);
        if (corners > left) {
            walk(&im, row, col, visited, 0, rings->points, 0, &pinched);
            if (rings->ring_count == 0)
                rings->point_count = corners;
            return SW_OK;
        }
        rings->point_count += corners;
        rings->ring_end[rings->ring_count] = rings->point_count;
        rings->ring_start[rings->ring_count] = pixel;
        rings->ring_pinched[rings->ring_count] = (uint8_t)pinched;
        rings->ring_count++;
    }
    return SW_OK;
}
