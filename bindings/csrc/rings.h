/* What rings.c gives to its neighbours. */
#ifndef SWATH_RINGS_H
#define SWATH_RINGS_H

#include <stdint.h>

/* 1 clockwise on screen (y down), -1 the other way, 0 no area; exact for places up to 2^26 from zero. */
int sw_ring_turning(const int32_t *vertex, int64_t count);

/* In place: the least rotation by (y, x), in its direction. */
void sw_ring_rotate(int32_t *vertex, int64_t count);

#endif
