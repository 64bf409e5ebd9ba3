#ifndef SWATH_DECL_PREVIEW_H
#define SWATH_DECL_PREVIEW_H

#include <stdint.h>

/* A class map made smaller: each square of `factor` pixels becomes the class that most of its pixels have. */

#define SW_PREVIEW_SLOTS_MAX 256

/* Add the votes of `count` rows of `width` pixels. votes: one count per square of the row and slot, [square][slot],
 * slots = classes + 1: classes 0 .. classes-1 have slots of their own, every other value the last one. */
int sw_preview_vote(const uint8_t *rows, int64_t count, int32_t width, int32_t factor, int32_t slots, uint32_t *votes);

/* The winner of each square, the lowest class where there is a tie; 255 for the last slot. Clears the votes. */
int sw_preview_elect(uint32_t *votes, int32_t squares, int32_t slots, uint8_t *out);

#endif
