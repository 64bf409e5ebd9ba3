/* What the harnesses share. A harness is one function, called with any octets: a few of them say sizes, the rest is the
 * code. It is linked with libFuzzer (make fuzz) or with replay.c (make test), and fails by abort() or by a sanitizer. */
#ifndef SWATH_FUZZ_HARNESS_H
#define SWATH_FUZZ_HARNESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(what)                                                                                                 \
    do {                                                                                                              \
        if (!(what)) {                                                                                                \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #what);                                  \
            abort();                                                                                                  \
        }                                                                                                             \
    } while (0)

/* What is left of an input. */
typedef struct {
    const uint8_t *at;
    size_t left;
} input;

/* A number of 1 to 8 octets, little-endian; octets that are not there are 0. */
static inline uint64_t take(input *from, unsigned octets)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < octets && from->left > 0; i++, from->left--)
        number |= (uint64_t)*from->at++ << 8 * i;
    return number;
}

/* Memory of exactly this size, so that the sanitizer sees the first octet too many; filled with what is no zero. */
static inline void *exactly(size_t octets)
{
    void *memory = malloc(octets > 0 ? octets : 1);
    REQUIRE(memory != NULL);
    memset(memory, 0x5A, octets > 0 ? octets : 1);
    return memory;
}

static inline void *copy_of(const void *octets, size_t count)
{
    void *memory = exactly(count);
    if (count > 0)
        memcpy(memory, octets, count);
    return memory;
}

static inline void *rest_of(input *from, size_t *count)
{
    void *memory = copy_of(from->at, from->left);
    *count = from->left;
    from->at += from->left;
    from->left = 0;
    return memory;
}

/* The same octets; lengths of 0 without a look at the pointers. */
static inline int equal(const void *one, const void *other, size_t count)
{
    return count == 0 || memcmp(one, other, count) == 0;
}

#endif
