/* What the parts of test_core share: a demand that ends it, and memory of exactly the size that is promised. */
#ifndef SW_TESTS_DRIVE_H
#define SW_TESTS_DRIVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(what)                                                                                                 \
    do {                                                                                                              \
        if (!(what)) {                                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                               \
            exit(1);                                                                                                  \
        }                                                                                                             \
    } while (0)

static inline void *octets(size_t count)
{
    void *memory = malloc(count > 0 ? count : 1); /* of none malloc may give NULL */
    REQUIRE(memory != NULL);
    memset(memory, 0x5A, count);
    return memory;
}

void drive_bus(void); /* drive_bus.c */
void drive_bus_ring(void); /* drive_bus_ring.c */
void drive_clock(void); /* drive_clock.c */
void drive_context(void); /* drive_context.c */
void drive_nms(void); /* drive_vectors.c, as the next two */
void drive_simplify(void);
void drive_vectors(void);

#endif
