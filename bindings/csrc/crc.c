/* Cyclic redundancy checks by table: CRC-16/CCITT-FALSE and CRC-32C (slicing by eight). */
#include "decl/crc.h"

#include <pthread.h>

#define CCITT_POLYNOMIAL 0x1021u
#define CASTAGNOLI_REFLECTED 0x82F63B78u

static uint16_t ccitt[256];
static uint32_t castagnoli[8][256]; /* [k][b]: the check of octet b followed by k zero octets */
static pthread_once_t tables = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        unsigned high = octet << 8;
        uint32_t low = octet;
        for (int bit = 0; bit < 8; bit++) {
            high = (high & 0x8000u) ? (high << 1) ^ CCITT_POLYNOMIAL : high << 1;
            low = (low & 1u) ? (low >> 1) ^ CASTAGNOLI_REFLECTED : low >> 1;
        }
        ccitt[octet] = (uint16_t)high;
        castagnoli[0][octet] = low;
    }
    for (unsigned octet = 0; octet < 256; octet++)
        for (int k = 1; k < 8; k++) {
            uint32_t before = castagnoli[k - 1][octet];
            castagnoli[k][octet] = (before >> 8) ^ castagnoli[0][before & 0xFFu];
        }
}

uint16_t sw_crc16_ccitt(const uint8_t *octets, size_t count, uint16_t value)
{
    pthread_once(&tables, fill_tables);
    for (size_t i = 0; i < count; i++)
        value = (uint16_t)((value << 8) ^ ccitt[(value >> 8) ^ octets[i]]);
    return value;
}

static uint32_t little_endian(const uint8_t *octets)
{
    return (uint32_t)octets[0] | (uint32_t)octets[1] << 8 | (uint32_t)octets[2] << 16 | (uint32_t)octets[3] << 24;
}

uint32_t sw_crc32c(const uint8_t *octets, size_t count, uint32_t value)
{
    pthread_once(&tables, fill_tables);
    value = ~value;
    for (; count >= 8; count -= 8, octets += 8) {
        uint32_t first = little_endian(octets) ^ value, second = little_endian(octets + 4);
        value = castagnoli[7][first & 0xFFu] ^ castagnoli[6][first >> 8 & 0xFFu] ^ castagnoli[5][first >> 16 & 0xFFu]
              ^ castagnoli[4][first >> 24] ^ castagnoli[3][second & 0xFFu] ^ castagnoli[2][second >> 8 & 0xFFu]
              ^ castagnoli[1][second >> 16 & 0xFFu] ^ castagnoli[0][second >> 24];
    }
    for (; count > 0; count--, octets++)
        value = (value >> 8) ^ castagnoli[0][(value ^ *octets) & 0xFFu];
    return ~value;
}
