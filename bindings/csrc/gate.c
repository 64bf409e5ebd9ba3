/* The gate: few of a tile's pixels, to say whether the others are worth reading. */
#include "decl/gate.h"

#include "decl/codes.h"
#include "portable.h"

#include <math.h>
#include <string.h>

enum {
    PIECE = 64, /* looked-at columns at a time */
    GROUP = 16  /* bands whose columns stay in the first-level cache meanwhile */
};

#define SAMPLE uint8_t
#define WIDE int32_t
#define NAME(x) x##_u8
#define SAMPLE_MAX UINT8_MAX
#define SAMPLE_MIN 0
#include "gate_kernel.h"

#define SAMPLE uint16_t
#define WIDE int32_t
#define NAME(x) x##_u16
#define SAMPLE_MAX UINT16_MAX
#define SAMPLE_MIN 0
#include "gate_kernel.h"

#define SAMPLE int16_t
#define WIDE int32_t
#define NAME(x) x##_i16
#define SAMPLE_MAX INT16_MAX
#define SAMPLE_MIN INT16_MIN
#include "gate_kernel.h"

#define SAMPLE float
#define WIDE double
#define NAME(x) x##_f32
#define SAMPLE_MAX INFINITY
#define SAMPLE_MIN (-INFINITY)
#define SAMPLE_IS_FLOAT 1
#include "gate_kernel.h"

int sw_gate_look(const void *samples, const sw_gate *gate, double *minimum, double *maximum, double *total,
                 sw_gate_counts *counts)
{
    if (gate->bands < 1 || gate->bands > SW_GATE_BANDS_MAX || gate->rows < 1 || gate->cols < 1 || gate->row_stride < 0
        || gate->col_stride < 0 || gate->band_stride < 0)
        return SW_E_ARGUMENT;
    *counts = (sw_gate_counts){0, 0};
    for (int32_t b = 0; b < gate->bands; b++)
        minimum[b] = INFINITY, maximum[b] = -INFINITY, total[b] = 0;
    switch (gate->sample) {
    case SW_GATE_U8: look_u8(samples, gate, minimum, maximum, total, counts); return SW_OK;
    case SW_GATE_U16: look_u16(samples, gate, minimum, maximum, total, counts); return SW_OK;
    case SW_GATE_I16: look_i16(samples, gate, minimum, maximum, total, counts); return SW_OK;
    case SW_GATE_F32: look_f32(samples, gate, minimum, maximum, total, counts); return SW_OK;
    default: return SW_E_ARGUMENT;
    }
}
