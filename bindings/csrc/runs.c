/* Run lengths of a class map. */
#include "decl/runs.h"

#include "changes.h"
#include "decl/codes.h"

/* Runs of `count` pixels that start with a new one; `found` runs are there already. */
static int64_t find(const uint8_t *pixels, size_t count, uint32_t *lengths, uint8_t *values, size_t capacity,
                    size_t found)
{
    uint16_t at[CHANGES_ROOM];
    size_t start = 0;
    for (size_t block = 1; block < count; block += CHANGES_BLOCK) {
        const size_t here = count - block < CHANGES_BLOCK ? count - block : CHANGES_BLOCK;
        const size_t many = changes(pixels + block, here, at);
        if (many == 0)
            continue;
        if (many > capacity - found)
            return SW_E_SPACE;
        lengths[found] = (uint32_t)(block + at[0] - start);
        for (size_t i = 1; i < many; i++)
            lengths[found + i] = (uint32_t)(at[i] - at[i - 1]);
        for (size_t i = 0; i < many; i++)
            values[found + i] = pixels[block + at[i] - 1]; /* the last of the run that ends there */
        start = block + at[many - 1];
        found += many;
    }
    if (found == capacity)
        return SW_E_SPACE;
    lengths[found] = (uint32_t)(count - start);
    values[found] = pixels[count - 1];
    return (int64_t)found + 1;
}

int64_t sw_runs_find(const uint8_t *pixels, size_t count, size_t row, uint32_t *lengths, uint8_t *values,
                     size_t capacity)
{
    int64_t found = 0;
    if (count > UINT32_MAX)
        return SW_E_ARGUMENT;
    if (row == 0)
        row = count;
    for (size_t first = 0; first < count && found >= 0; first += row)
        found = find(pixels + first, count - first < row ? count - first : row, lengths, values, capacity,
                     (size_t)found);
    return found;
}
