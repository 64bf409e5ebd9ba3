#ifndef SWATH_DECL_CRC_H
#define SWATH_DECL_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CRC-16/CCITT-FALSE (CCSDS 132.0-B, 4.1.6: polynomial 0x1021, not reflected); start with 0xFFFF. */
uint16_t sw_crc16_ccitt(const uint8_t *octets, size_t count, uint16_t value);

/* CRC-32C (Castagnoli, RFC 3720 B.4); start with 0, hand the result back in to go on. */
uint32_t sw_crc32c(const uint8_t *octets, size_t count, uint32_t value);

#endif
