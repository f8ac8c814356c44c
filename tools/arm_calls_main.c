/* Calls functions with buffers and numbers from stdin and writes buffers to stdout; see arm_calls.py for the format. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 7, NUMBER = 7, READ = 8, WRITTEN = 9 };

/* Another file has the functions. Each takes at most MOST pointers and 64-bit numbers. */
typedef void (*function)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
extern const function functions[];

static int64_t number(void) {
    int64_t value;
    if (fread(&value, sizeof value, 1, stdin) != 1) exit(3);
    return value;
}

int main(void) {
    for (int64_t calls = number(); calls > 0; calls--) {
        int64_t a[MOST] = {0}, bytes[MOST] = {0}, which = number(), count = number();
        for (int i = 0; i < count; i++) {
            int64_t kind = number(), value = number();
            a[i] = value;
            if (kind == NUMBER) continue;
            a[i] = (int64_t)aligned_alloc(128, (value / 128 + 2) * 128);
            if (fread((void *)a[i], 1, value, stdin) != (size_t)value) return 3;
            if (kind == WRITTEN) bytes[i] = value;
        }
        functions[which](a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
        for (int i = 0; i < count; i++)
            if (fwrite((void *)a[i], 1, bytes[i], stdout) != (size_t)bytes[i]) return 1;
    }
    return 0;
}
