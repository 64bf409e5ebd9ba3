/* Stands for libFuzzer where there is none: the inputs of a folder, then inputs made from them by chance from a seed.
 *
 *     replay FOLDER COUNT SEED LONGEST       an input that fails is left in ./failed_input
 */
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ENTRIES_MAX = 100000, SECONDS_MAX = 20, SECONDS_LOOKED_AT = 64 };

typedef struct {
    uint8_t *octets;
    size_t length;
} entry;

static entry corpus[ENTRIES_MAX], now;
static size_t entries;
static uint64_t chance;

void __sanitizer_set_death_callback(void (*callback)(void));

static void leave_input(void)
{
    const int file = open("failed_input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file >= 0) {
        if (write(file, now.octets, now.length) < 0)
            _exit(3);
        close(file);
    }
}

static void on_signal(int number)
{
    leave_input();
    signal(number, SIG_DFL);
    raise(number);
}

/* xorshift64* */
static uint32_t draw(uint32_t below)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (uint32_t)((chance * 2685821657736338717u) >> 32) % below;
}

static void load(const char *folder)
{
    DIR *opened = opendir(folder);
    REQUIRE(opened != NULL);
    char path[4096];
    for (struct dirent *each; (each = readdir(opened)) != NULL && entries < ENTRIES_MAX;) {
        struct stat about;
        REQUIRE(snprintf(path, sizeof path, "%s/%s", folder, each->d_name) < (int)sizeof path);
        if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
            continue;
        FILE *file = fopen(path, "rb");
        entry *to = &corpus[entries++];
        REQUIRE(file != NULL);
        to->length = (size_t)about.st_size;
        to->octets = exactly(to->length);
        REQUIRE(fread(to->octets, 1, to->length, file) == to->length);
        fclose(file);
    }
    closedir(opened);
    REQUIRE(entries > 0);
}

static int by_content(const void *one, const void *other) /* not the order in which a folder lists them */
{
    const entry *a = one, *b = other;
    const size_t least = a->length < b->length ? a->length : b->length;
    const int order = least > 0 ? memcmp(a->octets, b->octets, least) : 0;
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static void run(const uint8_t *octets, size_t length)
{
    now.octets = copy_of(octets, length);
    now.length = length;
    LLVMFuzzerTestOneInput(now.octets, now.length);
    free(now.octets);
}

static size_t remove_some(uint8_t *to, size_t length, size_t at)
{
    const size_t span = 1 + draw((uint32_t)(length - at < 32 ? length - at : 32));
    memmove(to + at, to + at + span, length - at - span);
    return length - span;
}

static size_t insert_some(uint8_t *to, size_t length, size_t at, size_t longest, const uint8_t *what, size_t count)
{
    count = count < longest - length ? count : longest - length;
    memmove(to + at + count, to + at, length - at);
    if (what != NULL && count > 0)
        memcpy(to + at, what, count);
    else
        for (size_t i = 0; i < count; i++)
            to[at + i] = (uint8_t)draw(256);
    return length + count;
}

static size_t change(uint8_t *to, size_t length, size_t longest)
{
    static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x10, 0x40};
    if (length == 0)
        return insert_some(to, 0, 0, longest, NULL, 1 + draw(16));
    const size_t at = draw((uint32_t)length);
    const entry *other = &corpus[draw((uint32_t)entries)];
    switch (draw(8)) {
    case 0:
        to[at] ^= (uint8_t)(1u << draw(8));
        return length;
    case 1:
        to[at] = (uint8_t)draw(256);
        return length;
    case 2:
        to[at] = telling[draw(sizeof telling)];
        return length;
    case 3:
        to[at] = (uint8_t)(to[at] + draw(9) - 4);
        return length;
    case 4:
        return remove_some(to, length, at);
    case 5:
        return insert_some(to, length, at, longest, NULL, 1 + draw(8));
    case 6:
        return draw(4) ? length : at;
    default:
        if (other->length > 0) {
            const size_t start = draw((uint32_t)other->length);
            return insert_some(to, length, at, longest, other->octets + start,
                               1 + draw((uint32_t)(other->length - start)));
        }
        return length;
    }
}

int main(int count, char **words)
{
    if (count != 5) {
        fprintf(stderr, "replay FOLDER COUNT SEED LONGEST\n");
        return 2;
    }
    const unsigned long long wanted = strtoull(words[2], NULL, 10), seed = strtoull(words[3], NULL, 10);
    const size_t longest = (size_t)strtoull(words[4], NULL, 10);
    chance = seed * 0x9E3779B97F4A7C15u + 1;
    __sanitizer_set_death_callback(leave_input);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal); /* a hang: the inputs looked at together take longer than any may */
    load(words[1]);
    qsort(corpus, entries, sizeof corpus[0], by_content);
    alarm(SECONDS_MAX);
    for (size_t i = 0; i < entries; i++)
        run(corpus[i].octets, corpus[i].length);
    uint8_t *made = exactly(longest);
    for (unsigned long long turn = 0; turn < wanted; turn++) {
        if (turn % SECONDS_LOOKED_AT == 0)
            alarm(SECONDS_MAX);
        const entry *begin = &corpus[draw((uint32_t)entries)];
        size_t length = begin->length < longest ? begin->length : longest;
        if (length > 0)
            memcpy(made, begin->octets, length);
        for (uint32_t changes = 1 + draw(6); changes > 0; changes--)
            length = change(made, length, longest);
        run(made, length);
    }
    free(made);
    for (size_t i = 0; i < entries; i++)
        free(corpus[i].octets);
    printf("%zu inputs of the corpus and %llu made from them with seed %llu: no finding\n", entries, wanted, seed);
    return 0;
}
