#ifndef SWATH_DECL_CONTEXT_H
#define SWATH_DECL_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

/* The context code of a class map strip (docs/context-code.md): an adaptive binary range coder whose
 * probabilities follow from which neighbours above and to the left are of one class; stretches in a uniform
 * neighbourhood are one decision. Every content has exactly one encoding. */

#define SW_CONTEXT_RUN 4096 /* pixels of the longest stretch of one decision */
#define SW_CONTEXT_RUN_BITS 12
#define SW_CONTEXT_WIDTH_MAX 16777216

/* What sw_context_decode says of octets that are not such an encoding. */
#define SW_CONTEXT_NOT_ONE 1 /* a class is named that was excluded, or a place in a stretch that it has not */
#define SW_CONTEXT_ENDING 2  /* the octets end otherwise than those of the encoder */

/* Octets of the state of an encoder or decoder: the caller's memory, aligned to 8, with room for three rows. */
size_t sw_context_size(int32_t width);

/* Begin a strip. state: sw_context_size(width) octets. SW_E_ARGUMENT for a width below 1 or above the most. */
int sw_context_begin(void *state, int32_t width);

/* Encode the next `count` rows, contiguous, `width` pixels each. out: the same `capacity` octets in every call of a
 * strip. counts: pixels of each value, added to, 256 numbers.
 * Returns the octets so far, or SW_E_SPACE when `capacity` is too small: the strip is then lost and every further call
 * says so. The work is bounded by the pixels given: at most 13 decisions each. */
int64_t sw_context_feed(void *state, const uint8_t *rows, int64_t count, uint64_t *counts, uint8_t *out,
                        size_t capacity);

/* End the strip: the octets of its encoding, or SW_E_SPACE. */
int64_t sw_context_end(void *state, uint8_t *out, size_t capacity);

/* Decode `rows` rows of `width` pixels into `out`. state: as sw_context_begin takes it; it need not be begun.
 * counts: as above. where: how many octets were read. Returns 0, one of SW_CONTEXT_..., or SW_E_ARGUMENT for a width;
 * `out` and `counts` are then of no meaning. Reads and writes within bounds and ends for any octets. */
int sw_context_decode(void *state, const uint8_t *octets, size_t length, uint8_t *out, int32_t width, int64_t rows,
                      uint64_t *counts, size_t *where);

#endif
