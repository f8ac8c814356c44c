/* Runs a compiled kernel on buffers from stdin and writes the output to stdout; see arm_check.py for the format. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARAMETERS = 16, MOST_BUFFERS = 5 };

typedef struct {
    int32_t min, extent, stride;
    uint32_t flags;
} dimension;

/* Halide's `halide_buffer_t`. */
typedef struct {
    uint64_t device;
    void *device_interface;
    uint8_t *host;
    uint64_t flags;
    uint8_t code, bits;
    uint16_t lanes;
    int32_t dimensions;
    dimension *dim;
    void *padding;
} buffer;

/* It takes its inputs, its parameters and its output. A kernel with factors, its third input, has a least and a largest value too. */
extern int kernel();
#define INTEGERS int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int
typedef int (*plain)(buffer *, buffer *, INTEGERS, buffer *);
typedef int (*scaled)(buffer *, buffer *, buffer *, INTEGERS, float, float, buffer *);

static void take(void *target, size_t bytes) {
    if (fread(target, 1, bytes, stdin) != bytes) exit(3);
}

static int32_t number(void) {
    int32_t value;
    take(&value, sizeof value);
    return value;
}

int main(void) {
    buffer all[MOST_BUFFERS] = {{0}};
    int32_t p[PARAMETERS];
    int32_t count = number(), bytes = 0;
    for (int i = 0; i < count; i++) {
        buffer *b = &all[i];
        b->code = number(), b->bits = number(), b->lanes = 1, b->dimensions = number();
        b->dim = calloc(b->dimensions, sizeof *b->dim);
        for (int d = 0; d < b->dimensions; d++) b->dim[d].extent = number(), b->dim[d].stride = number();
        bytes = number();
        b->host = aligned_alloc(128, (bytes / 128 + 2) * 128);
        if (i < count - 1) take(b->host, bytes);
    }
    float limits[2] = {0};
    take(p, sizeof p);
    if (count == 4) take(limits, sizeof limits);
#define P p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]
    int failed = count == 3 ? ((plain)kernel)(&all[0], &all[1], P, &all[2])
                            : ((scaled)kernel)(&all[0], &all[1], &all[2], P, limits[0], limits[1], &all[3]);
    if (failed) return 1;
    return fwrite(all[count - 1].host, 1, bytes, stdout) != (size_t)bytes;
}
