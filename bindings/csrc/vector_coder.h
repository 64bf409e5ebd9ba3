/* A binary range coder with adaptive probabilities that works both ways: the same calls encode what they are given or
 * give back what was encoded. Integers only (docs/vector-format.md, "Decisions"). */
#ifndef SWATH_VECTOR_CODER_H
#define SWATH_VECTOR_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "portable.h"

typedef struct {
    uint16_t zero; /* how probable 0 is, in 65536ths */
    uint16_t seen; /* decisions so far, at most SW_SEEN_MAX */
} sw_bit;

typedef struct {
    const uint8_t *from; /* decoding; NULL: encoding */
    uint8_t *to;
    size_t length, at; /* octets there are or that fit; those read or written */
    uint32_t range, low; /* low: the lower end when encoding, the distance from it when decoding */
    int fault; /* what the caller's model found; coding goes on harmlessly */
    int full;  /* encoding: an octet did not fit */
} sw_coder;

#define SW_SEEN_MAX 44
#define SW_LEAST 1024 /* no decision is more certain than 63 in 64: so many octets hold so many decisions at most */

SW_INLINE uint32_t sw_next_octet(sw_coder *c)
{
    const uint32_t octet = c->at < c->length ? c->from[c->at] : 0;
    c->at++;
    return octet;
}

SW_INLINE void sw_put_octet(sw_coder *c, uint32_t octet)
{
    if (c->at < c->length)
        c->to[c->at++] = (uint8_t)octet;
    else
        c->full = 1;
}

SW_INLINE void sw_coder_begin(sw_coder *c)
{
    c->range = 0xFFFFFFFFu;
    c->low = 0;
    for (int i = 0; c->from && i < 4; i++)
        c->low = c->low << 8 | sw_next_octet(c);
}

/* Encoding: what was written becomes one larger in its last octet. */
SW_INLINE void sw_carry(sw_coder *c)
{
    for (size_t i = c->at; i > 0 && ++c->to[i - 1] == 0;)
        i--;
}

SW_INLINE void sw_raise(sw_coder *c, uint32_t by)
{
    c->low += by;
    if (c->low < by)
        sw_carry(c);
}

SW_INLINE void sw_renew(sw_coder *c)
{
    while (c->range < 1u << 24) {
        c->range <<= 8;
        if (c->from)
            c->low = c->low << 8 | sw_next_octet(c);
        else {
            sw_put_octet(c, c->low >> 24);
            c->low <<= 8;
        }
    }
}

/* A decision in the upper part (1) or the lower part (0) of the range, `bound` wide. */
SW_INLINE int sw_decide(sw_coder *c, uint32_t bound, int bit)
{
    if (c->from)
        bit = c->low >= bound;
    if (bit) {
        if (c->from)
            c->low -= bound;
        else
            sw_raise(c, bound);
        c->range -= bound;
    } else
        c->range = bound;
    sw_renew(c);
    return bit;
}

SW_INLINE int sw_code_bit(sw_coder *c, sw_bit *p, int bit)
{
    bit = sw_decide(c, (c->range >> 12) * (uint32_t)(p->zero >> 4), bit);
    const uint32_t step = 131072u / (2u * p->seen + 3u); /* one part in (seen + 1.5) */
    uint32_t zero = p->zero;
    if (bit)
        zero -= zero * step >> 16;
    else
        zero += (65536u - zero) * step >> 16;
    p->zero = (uint16_t)(zero < SW_LEAST ? SW_LEAST : zero > 65536u - SW_LEAST ? 65536u - SW_LEAST : zero);
    p->seen = (uint16_t)(p->seen < SW_SEEN_MAX ? p->seen + 1 : SW_SEEN_MAX);
    return bit;
}

SW_INLINE int sw_code_even(sw_coder *c, int bit)
{
    return sw_decide(c, c->range >> 1, bit);
}

/* Encoding: the one octet that brings the octets to a value within the last range; decoders read zeros behind it. */
SW_INLINE void sw_coder_end(sw_coder *c)
{
    if (c->low > 0xFF000000u) {
        sw_carry(c);
        sw_put_octet(c, 0);
    } else
        sw_put_octet(c, (c->low + 0xFFFFFFu) >> 24);
}

#endif
