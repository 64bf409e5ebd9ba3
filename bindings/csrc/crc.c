/* Cyclic redundancy checks: CRC-16/CCITT-FALSE by table, CRC-32C by the processor's own instruction where it has one,
 * else by table (slicing by eight). Equal results. */
#include "decl/crc.h"
#include "portable.h"

#include <pthread.h>
#include <string.h>

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

static uint32_t crc32c_by_table(const uint8_t *octets, size_t count, uint32_t value)
{
    pthread_once(&tables, fill_tables);
    for (; count >= 8; count -= 8, octets += 8) {
        uint32_t first = little_endian(octets) ^ value, second = little_endian(octets + 4);
        value = castagnoli[7][first & 0xFFu] ^ castagnoli[6][first >> 8 & 0xFFu] ^ castagnoli[5][first >> 16 & 0xFFu]
              ^ castagnoli[4][first >> 24] ^ castagnoli[3][second & 0xFFu] ^ castagnoli[2][second >> 8 & 0xFFu]
              ^ castagnoli[1][second >> 16 & 0xFFu] ^ castagnoli[0][second >> 24];
    }
    for (; count > 0; count--, octets++)
        value = (value >> 8) ^ castagnoli[0][(value ^ *octets) & 0xFFu];
    return value;
}

#if defined(SW_AVX2)
#define SW_CRC_INSTRUCTION 1
#define SW_FOR_CRC __attribute__((target("sse4.2")))
#define SW_HAS_CRC __builtin_cpu_supports("sse4.2")
#define CRC_EIGHT(value, word) (uint32_t)_mm_crc32_u64(value, word)
#define CRC_ONE(value, octet) _mm_crc32_u8(value, octet)
#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_acle.h>
#include <sys/auxv.h>
#define SW_CRC_INSTRUCTION 1
#define SW_FOR_CRC __attribute__((target("+crc")))
#define SW_HAS_CRC (getauxval(AT_HWCAP) >> 7 & 1) /* HWCAP_CRC32 */
#define CRC_EIGHT(value, word) __crc32cd(value, word)
#define CRC_ONE(value, octet) __crc32cb(value, octet)
#endif

#ifdef SW_CRC_INSTRUCTION
enum { LANE = 1024 }; /* octets of each of three checks taken side by side, for the instruction takes three turns */

/* The check of LANE or 2 * LANE zero octets that follow a value, by the value's four octets. */
static uint32_t behind[2][4][256];
static pthread_once_t shifts = PTHREAD_ONCE_INIT;

static void fill_shifts(void)
{
    static const uint8_t zeros[2 * LANE];
    for (int lanes = 0; lanes < 2; lanes++)
        for (int at = 0; at < 4; at++)
            for (uint32_t octet = 0; octet < 256; octet++)
                behind[lanes][at][octet] = crc32c_by_table(zeros, (size_t)(lanes + 1) * LANE, octet << (8 * at));
}

static uint32_t shifted(uint32_t value, int lanes)
{
    uint32_t(*const table)[256] = behind[lanes - 1];
    return table[0][value & 0xFFu] ^ table[1][value >> 8 & 0xFFu] ^ table[2][value >> 16 & 0xFFu]
           ^ table[3][value >> 24];
}

static inline uint64_t eight(const uint8_t *octets)
{
    uint64_t word; /* little-endian processors alone come here */
    memcpy(&word, octets, sizeof word);
    return word;
}

SW_FOR_CRC static uint32_t crc32c_by_instruction(const uint8_t *octets, size_t count, uint32_t value)
{
    if (count >= 3 * LANE)
        pthread_once(&shifts, fill_shifts);
    for (; count >= 3 * LANE; count -= 3 * LANE, octets += 3 * LANE) {
        uint32_t second = 0, third = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            value = CRC_EIGHT(value, eight(octets + i));
            second = CRC_EIGHT(second, eight(octets + LANE + i));
            third = CRC_EIGHT(third, eight(octets + 2 * LANE + i));
        }
        value = shifted(value, 2) ^ shifted(second, 1) ^ third;
    }
    for (; count >= 8; count -= 8, octets += 8)
        value = CRC_EIGHT(value, eight(octets));
    for (; count > 0; count--, octets++)
        value = CRC_ONE(value, *octets);
    return value;
}
#endif

uint32_t sw_crc32c(const uint8_t *octets, size_t count, uint32_t value)
{
#ifdef SW_CRC_INSTRUCTION
    if (SW_HAS_CRC)
        return ~crc32c_by_instruction(octets, count, ~value);
#endif
    return ~crc32c_by_table(octets, count, ~value);
}
