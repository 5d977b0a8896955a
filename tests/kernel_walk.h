/*
 * kernel_walk.h - the cases of test_kernels.c and test_elements.c, and the walk through them.
 */
#ifndef TEST_KERNEL_WALK_H
#define TEST_KERNEL_WALK_H

#include "kernel_job.h"
#include "kernels_wide.h"

#include <limits.h>

/* ---- cases */

enum { CASE_TEXT = 80 };

/* The kernel's geometry from "m2h5x7c3k4f3x2s1x2p1x0x2x1": batch, image, channels in and out,
 * kernel, stride, pads above, left, below, right; behind it "d2x1g3", dilation and groups, may
 * follow; or from "n5c10": rows and columns. */
static bool parse_case(const char *text, cn_conv_problem *s)
{
    int below, right, found;
    *s = (cn_conv_problem){.dilation_h = 1, .dilation_w = 1, .groups = 1};
    if (sscanf(text, "n%dc%d", &s->m, &s->c) == 2) return s->m >= 0 && s->c >= 1;
    found = sscanf(text, "m%dh%dx%dc%dk%df%dx%ds%dx%dp%dx%dx%dx%dd%dx%dg%d", &s->m, &s->h, &s->w,
                   &s->c, &s->oc, &s->fh, &s->fw, &s->sh, &s->sw, &s->pt, &s->pl, &below, &right,
                   &s->dilation_h, &s->dilation_w, &s->groups);
    if ((found != 13 && found != 16) || s->sh < 1 || s->sw < 1 || s->dilation_h < 1 ||
        s->dilation_w < 1 || s->groups < 1 || s->c % s->groups || s->oc % s->groups)
        return false;
    const int over_h = s->h + s->pt + below - (s->fh - 1) * s->dilation_h - 1;
    const int over_w = s->w + s->pl + right - (s->fw - 1) * s->dilation_w - 1;
    s->oh = over_h / s->sh + 1;
    s->ow = over_w / s->sw + 1;
    return over_h >= 0 && over_w >= 0;
}

static inline size_t count(int a, int b, int c, int d)
{
    return (size_t)a * (size_t)b * (size_t)c * (size_t)d;
}

static int draw_channels(uint64_t *random)
{
    return draw(random) % 16 ? draw_int(random, 1, draw(random) % 2 ? 40 : 8)
                             : draw_int(random, 64, 130);
}

/* What makes a convolution other than dense: groups, of one channel each more often than not, and
 * gaps in the window. Behind the text of a dense one with c channels, 1 a group in and k out. */
static void draw_groups(uint64_t *random, int *c, int *k, char text[CASE_TEXT])
{
    int groups = 1, d[2] = {1, 1};
    switch (draw(random) % 4) {
    case 0: groups = *k = *c; break;
    case 1:
        groups = draw_int(random, 1, 5);
        *c = draw(random) % 2 ? groups : groups * draw_int(random, 1, 20);
        *k = groups * draw_int(random, 1, 20);
        break;
    }
    for (int a = 0; a < 2; a++) d[a] = draw(random) % 4 ? 1 : draw_int(random, 2, 4);
    snprintf(text, CASE_TEXT, "d%dx%dg%d", d[0], d[1], groups);
}

/* Products of one pass, in pooling elements of windows; INFINITY if there is no such case. */
static double work_of(const char *text, bool pooling)
{
    cn_conv_problem s;
    if (!parse_case(text, &s)) return INFINITY;
    return (double)count(s.m, s.oh, s.ow, s.oc) *
           (double)count(s.fh, s.fw, pooling ? 1 : s.c / s.groups, 1);
}

/* Pooling pads less than its window, so that no window lies in the padding alone. */
static void draw_case(uint64_t *random, bool pooling, char text[CASE_TEXT])
{
    do {
        int f[2], p[4], side = draw(random) % 2 ? 40 : 9, c = draw_channels(random);
        int k = pooling ? c : draw_channels(random);
        char more[CASE_TEXT] = "";
        if (!pooling && draw(random) % 2) draw_groups(random, &c, &k, more);
        for (int a = 0; a < 2; a++) f[a] = draw_int(random, 1, draw(random) % 4 ? 5 : 11);
        for (int a = 0; a < 4; a++)
            p[a] = draw(random) % 2 ? 0 : draw_int(random, 0, f[a % 2] - (pooling ? 1 : -1));
        snprintf(text, CASE_TEXT, "m%dh%dx%dc%dk%df%dx%ds%dx%dp%dx%dx%dx%d%.20s",
                 draw_int(random, 1, 5), draw_int(random, 1, side), draw_int(random, 1, side), c, k,
                 f[0], f[1], draw_int(random, 1, 4), draw_int(random, 1, 3), p[0], p[1], p[2], p[3],
                 more);
    } while (work_of(text, pooling) > 150e3);
}

static const char *const corners[] = {
    "m1h1x1c1k1f1x1s1x1p0x0x0x0",    /* one of everything */
    "m1h1x1c1k1f3x3s1x1p1x1x1x1",    /* a kernel larger than the image */
    "m1h1x1c3k2f7x7s1x1p3x3x3x3",    /* and much larger */
    "m2h5x7c3k4f1x1s3x3p0x0x0x0",    /* stride > kernel */
    "m2h9x9c2k3f2x2s4x3p0x0x1x1",    /* and rows that no window sees */
    "m3h4x4c17k33f4x4s1x1p1x1x2x2",  /* SAME with an even kernel */
    "m1h8x8c1k130f3x3s1x1p0x2x1x0",  /* one channel in, asymmetric pads */
    "m1h8x8c130k1f3x3s2x2p1x1x0x0",  /* one channel out */
    "m1h6x40c64k64f1x1s1x1p0x0x0x0", /* pointwise */
    "m2h9x33c300k40f1x1s2x2p0x0x0x0",
    "m1h30x40c200k33f1x1s1x1p0x0x0x0",
    "m1h1x5c120k84f1x1s1x1p0x0x0x0", /* a dense layer of 5 examples */
    "m1h1x1c120k84f1x1s1x1p0x0x0x0", /* of one: with 8 lanes 8 vectors and 3 */
    "m1h1x1c50k234f1x1s1x1p0x0x0x0", /* 8, 8, 8 and 6 */
    "m1h1x1c30k120f1x1s1x1p0x0x0x0", /* 8 and 7 */
    "m1h1x1c9k36f1x1s1x1p0x0x0x0",   /* 5 */
    "m1h1x1c9k7f1x1s1x1p0x0x0x0",    /* less than 1 */
    "m2h3x1c9k57f1x1s2x2p1x0x1x0",   /* rows of one pixel, some outside the image */
    "m1h4x1c30k112f3x1s1x1p1x0x1x0", /* several kernel rows */
    "m1h40x1c5k6f11x1s1x1p5x0x5x0",  /* a column */
    "m2h3x2c4k5f5x4s2x3p4x3x4x3",    /* more padding than image */
    "m3h2x4c1k23f4x1s2x3p0x1x5x0",   /* several rows, or images, in one vector */
    "m9h3x1c1k6f3x3s1x1p1x1x1x1",
    "m5h12x13c6k16f5x5s1x1p0x0x0x0", /* LeNet-5 */
    "m1h28x28c1k6f5x5s1x1p2x2x2x2",
    "m1h15x15c16k32f3x3s2x2p0x0x1x1",
    "m2h13x12c32k48f3x3s1x1p1x1x1x1", /* Winograd's */
    "m3h9x17c40k32f3x3s1x1p0x2x2x1",
    "m3h16x20c32k32f3x3s1x1p1x1x1x1", /* two blocks of 30 tiles; of two images one of 40 */
    "m25h3x5c32k32f3x3s1x1p0x0x0x0",
    "m1h40x40c64k80f3x3s1x1p1x1x1x1",
    "m1h6x6c32k48f3x3s1x1p1x1x1x1", /* his smaller tiles */
    "m2h5x5c64k32f3x3s1x1p0x2x2x1",
    /* larger than a level of the cache, so that loops that take a part at a time take several */
    "m1h60x60c32k3f3x3s1x1p1x1x1x1",
    "m1h64x50c40k2f5x5s2x2p2x2x2x2",
    "m1h30x60c48k2f3x3s1x1p0x0x0x0",
    "m2h24x24c130k3f1x1s1x1p0x0x0x0",
    "m1h2x2c3k130f3x3s1x1p40x1x40x400",
    "m2h11x8c530k20f1x1s2x3p0x0x0x0",
    "m40h6x5c23k70f1x1s1x1p0x0x0x0",
    "m14h9x9c20k264f3x3s2x2p1x1x1x1",
    "m14h8x14c20k40f3x3s2x2p0x0x1x1", /* rows of 7 and of 8 pixels, and images that fill tiles */
    "m13h5x8c9k23f3x2s1x1p1x1x1x0",
    "m30h2x1c7k3f2x1s1x1p0x0x0x0",
    "m2h21x36c70k264f3x2s2x1p0x2x1x0",
    /* every channel by itself: MobileNet's windows, others, and several outputs a channel */
    "m2h14x14c32k32f3x3s1x1p1x1x1x1d1x1g32",
    "m3h15x14c72k72f3x3s2x2p0x0x1x1d1x1g72",
    "m1h7x7c130k130f3x3s1x1p1x1x1x1d1x1g130",
    "m2h20x13c11k11f5x5s2x2p2x2x2x2d1x1g11",
    "m1h17x19c40k40f7x7s1x1p3x3x3x3d1x1g40",
    "m1h9x30c24k24f2x9s1x3p0x4x1x4d1x1g24",
    "m2h18x18c19k19f3x3s1x1p4x4x4x4d4x4g19",
    "m2h18x18c16k16f3x3s2x3p2x2x2x2d4x2g16",
    "m1h5x6c3k12f3x3s1x1p1x1x1x1d1x1g3",
    "m3h9x22c48k48f3x3s1x1p1x1x1x1d1x1g48", /* in blocks: odd rows, and more padding than kernel */
    "m2h11x12c48k48f3x3s2x2p4x4x4x4d1x1g48",
    "m1h2x9c512k512f3x3s1x1p1x1x1x1d1x1g512", /* and not, in spite of their kernel */
    "m40h6x8c200k200f3x3s1x1p1x1x1x1d1x1g200",
    /* groups, gaps, both */
    "m2h9x9c32k32f3x3s1x1p1x1x1x1d1x1g8",
    "m2h13x12c64k64f3x3s1x1p1x1x1x1d1x1g2",
    "m1h7x7c80k80f3x3s1x1p1x1x1x1d1x1g5", /* in groups of vectors: RegNet's */
    "m2h14x13c48k96f3x3s2x2p1x1x1x1d1x1g3",
    "m9h7x7c33k48f3x3s1x1p1x2x1x0d1x1g3", /* several images in a tile */
    "m2h9x6c32k64f1x1s2x2p0x0x0x0d1x1g2",
    "m1h40x70c48k32f5x3s1x1p2x2x0x3d1x1g2", /* bands */
    "m3h10x11c64k32f3x3s1x1p2x2x2x2d2x2g1",
    "m1h12x12c9k6f3x3s2x2p4x3x4x3d4x3g3",
    "m1h2x3c3k4f3x2s1x1p9x5x9x5d5x4g1",
    "m30h6x7c12k10f2x2s1x1p0x0x0x0d2x1g2",
    "m1h70x70c16k16f3x3s1x1p6x6x6x6d6x6g1",
};

/* The same for pooling: as many channels out as in, pads less than the window. */
static const char *const pool_corners[] = {
    "m1h1x1c1k1f1x1s1x1p0x0x0x0", "m1h1x1c5k5f3x3s1x1p1x1x1x1",    "m2h28x28c6k6f2x2s2x2p0x0x0x0",
    "m2h7x7c3k3f3x3s2x2p0x0x1x1", "m3h5x9c1k1f2x3s3x4p1x2x0x0",    "m1h9x9c130k130f3x3s1x1p1x1x1x1",
    "m1h2x2c8k8f5x5s1x1p4x4x4x4", "m2h40x3c17k17f4x2s1x1p0x1x3x0",
};

/* ---- the walk */

typedef enum kind { CONVOLUTION, POOLING, ELEMENTS, ROWS } kind;

typedef struct row {
    const char *name; /* the function, as cn_kernels calls it; with bf16 in it, its products are */
    void (*check)(job *j);
    kind kind;
    int cases;
} row;

/* Sanitizers and emulators make a minute of a second. A race shows in any case that has it, and with
 * any instruction set, since all of them are one source. The emulator and AddressSanitizer are spared
 * the four largest of `corners`, three quarters of all products: the loops over parts, which others
 * take as well, are everywhere alike. */
#ifdef __SANITIZE_THREAD__
enum { ONE_CASE_IN = 10, ONE_TABLE = true, WORK_MOST = INT_MAX };
#elif defined(TEST_EMULATED)
enum { ONE_CASE_IN = 10, ONE_TABLE = false, WORK_MOST = 20000000 };
#elif defined(__SANITIZE_ADDRESS__)
enum { ONE_CASE_IN = 1, ONE_TABLE = false, WORK_MOST = 20000000 };
#else
enum { ONE_CASE_IN = 1, ONE_TABLE = false, WORK_MOST = INT_MAX };
#endif

static const char *const instructions[TABLES] = {"scalar", "avx2", "avx512", "wide"};

/* NULL where it is not built, or does not run here. */
static const cn_kernels *table_named(const char *name)
{
#ifdef TEST_WIDE
    if (strcmp(name, "wide") == 0) return &cn_kernels_wide;
#endif
    return cn_kernels_named(name);
}

/* The pools that every test shares: none, 1, 2 and 3 threads. */
static cn_pool *pools[POOLS];
static const char *program_name;

/* Most cases leave the choice to the plan; in some it has one method, and plain loops, to take. */
static const char *draw_method(uint64_t *random)
{
    const cn_conv_method *const *methods = cn_kernels_named("scalar")->conv->methods;
    int count = 0;
    while (methods[count]) count++;
    return draw(random) % 4 ? NULL : methods[draw_int(random, 0, count - 1)]->name;
}

/* The failures of one case; -1 where there is no such case, or no such table. */
static int run_case(const row *r, const char *only, const char *text)
{
    job j = {.program = program_name, .function = r->name, .text = text, .pools = pools};
    const bool bf16 = strstr(r->name, "bf16") != NULL;
    int n = 0;
    if (!parse_case(text, &j.s)) return -1;
    for (int i = 0; i < TABLES; i++)
        if (!only || !strcmp(only, instructions[i])) {
            const cn_kernels *k = table_named(instructions[i]);
            if (k) j.tables[n++] = bf16 ? cn_kernels_with_bf16(k) : k;
        }
    if (n == 0) return -1;
    for (const char *c = r->name; *c; c++) j.random = (j.random ^ (uint64_t)*c) * 0x100000001b3;
    for (const char *c = text; *c; c++) j.random = (j.random ^ (uint64_t)*c) * 0x100000001b3;
    if (ONE_TABLE) {
        j.tables[0] = j.tables[draw(&j.random) % (unsigned)n];
        for (int i = 1; i < n; i++) j.tables[i] = NULL;
    }
    /* Winograd's method rounds even small integers. */
    bool winograd = j.s.fh == 3 && j.s.fw == 3 && j.s.c >= 16 && j.s.oc >= 16;
    j.real = draw(&j.random) % 4 == 0 || winograd;
    j.how.no_winograd = !j.real;
    j.how.bf16 = bf16;
    if (bf16 && draw(&j.random) % 2) j.how.no_winograd = true;
    j.how.method = draw_method(&j.random);
    r->check(&j);
    release(&j);
    return j.failures;
}

static void every_case_of_a_function(void **state)
{
    const row *r = *state;
    const char *const *fixed = r->kind == POOLING ? pool_corners : corners;
    int n_fixed = r->kind == POOLING       ? (int)(sizeof pool_corners / sizeof *pool_corners)
                  : r->kind == CONVOLUTION ? (int)(sizeof corners / sizeof *corners)
                                           : 0;
    uint64_t random = 1;
    int failed = 0;
    for (int i = 0; i < r->cases / ONE_CASE_IN && failed < 5; i++) {
        char text[CASE_TEXT];
        if (i < n_fixed)
            snprintf(text, sizeof text, "%s", fixed[i]);
        else if (r->kind == CONVOLUTION || r->kind == POOLING)
            draw_case(&random, r->kind == POOLING, text);
        else if (r->kind == ROWS)
            snprintf(text, sizeof text, "n%dc%d", draw_int(&random, 0, 9),
                     draw_int(&random, 1, i % 2 ? 20 : 130));
        else
            snprintf(text, sizeof text, "n%dc1", i < 70 ? i : draw_int(&random, 70, 1000));
        if (r->kind == CONVOLUTION && work_of(text, false) > WORK_MOST) continue;
        int failures = run_case(r, NULL, text);
        assert_true(failures >= 0);
        failed += failures > 0;
    }
    assert_int_equal(failed, 0);
}

static void an_instruction_set_is_here(void **state)
{
    const char *const *name = *state;
    const cn_kernels *k = table_named(*name);
    if (!k) {
        print_message("this processor or this build has no %s: its kernels are not tested\n",
                      *name);
        skip();
    }
    assert_string_equal(k->isa, *name);
    assert_true(k->lanes >= 1);
}

static void an_unknown_name_has_no_table(void **state)
{
    (void)state;
    assert_null(cn_kernels_named("sse9"));
    assert_non_null(cn_kernels_named("scalar"));
    assert_non_null(cn_kernels_get());
}

static int walk(const char *program, const row *rows, size_t n, int argc, char **argv)
{
    enum { MOST = 64 };
    struct CMUnitTest tests[MOST + TABLES + 1] = {0};
    int result = -1;
    cn_error err = {0};
    assert_true(n <= MOST);
    program_name = program;
    for (int i = 1; i < POOLS; i++)
        if (cn_pool_create(&pools[i], i, &err) != CN_OK) return fputs(err.text, stderr), 1;

    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, every_case_of_a_function, NULL, NULL,
                                       (void *)(uintptr_t)&rows[i]};
    for (size_t i = 0; i < TABLES; i++)
        tests[n + i] = (struct CMUnitTest){instructions[i], an_instruction_set_is_here, NULL, NULL,
                                           (void *)(uintptr_t)&instructions[i]};
    tests[n + TABLES] =
        (struct CMUnitTest){"unknown name", an_unknown_name_has_no_table, NULL, NULL, NULL};

    if (argc == 1) result = _cmocka_run_group_tests(program, tests, n + TABLES + 1, NULL, NULL);
    for (size_t i = 0; argc == 4 && i < n; i++)
        if (!strcmp(argv[1], rows[i].name)) result = run_case(&rows[i], argv[2], argv[3]);
    if (argc == 4 && result >= 0) puts(result ? "failed" : "passed");
    if (result < 0) fprintf(stderr, "usage: %s [FUNCTION INSTRUCTIONS CASE]\n", program);
    for (int i = 1; i < POOLS; i++) cn_pool_free(pools[i]);
    return result < 0 ? 2 : result > 0;
}

#endif
