#ifndef SWATH_DECL_LZW_H
#define SWATH_DECL_LZW_H

#include <stddef.h>
#include <stdint.h>

/* What sw_lzw_decode says of octets that are no LZW code of TIFF. */
#define SW_LZW_REVERSED 1     /* the bit-reversed form from before TIFF 6.0 */
#define SW_LZW_NO_LITERAL 2   /* the first code after a clear is no literal */
#define SW_LZW_NO_ENTRY 3     /* a code that is not in the table yet */

/* Decode TIFF LZW (TIFF 6.0, section 13: most significant bit first, widths change one code early) until the end code,
 * the end of the octets, or `capacity` octets made, whichever is first; fewer than that are no fault here.
 * made: octets written, in every case. fault_code: the code at fault, for the last two faults.
 * Returns 0, one of SW_LZW_..., or SW_E_ARGUMENT when `capacity` is above 2^32 - 1.
 * Reads and writes within bounds for any octets; never allocates. */
int sw_lzw_decode(const uint8_t *octets, size_t length, uint8_t *out, size_t capacity, size_t *made,
                  int32_t *fault_code);

#endif
