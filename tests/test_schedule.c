/* test_schedule.c - the learning rate: every kind's formula, computed here in another way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "train/train.h"

/* Of a training of 10 epochs of 7 steps. */
enum { EPOCHS = 10, STEPS = 7, ALL = EPOCHS * STEPS };
static const double RATE = 0.5;

static double rate_at(const cn_schedule *s, int step)
{
    return cn_schedule_rate(s, RATE, step, STEPS, EPOCHS);
}

static void expect(const cn_schedule *s, int step, double factor)
{
    double found = rate_at(s, step);
    if (!(fabs(found - RATE * factor) <= 1e-12 * RATE))
        fail_msg("kind %d, step %d: %.15g, expected %.15g", (int)s->kind, step, found,
                 RATE * factor);
}

/* The straight line through (x0, y0) and (x1, y1). */
static double line(double x, double x0, double y0, double x1, double y1)
{
    return (y0 * (x1 - x) + y1 * (x - x0)) / (x1 - x0);
}

static void a_constant_stays(void **state)
{
    const cn_schedule s = {.kind = CN_SCHEDULE_CONSTANT};
    (void)state;
    for (int i = 0; i < ALL; i++) expect(&s, i, 1);
}

static void cosine_falls_from_the_rate_to_its_end(void **state)
{
    const cn_schedule plain = {0}, floored = {.kind = CN_SCHEDULE_COSINE, .end = 0.1};
    (void)state;
    for (int i = 0; i < ALL; i++) {
        double half = sin((ALL - i) * 1.5707963267948966 / ALL); /* (1 + cos 2a) / 2 = cos^2 a */
        expect(&plain, i, half * half);
        expect(&floored, i, 0.1 + 0.9 * half * half);
        if (i > 0) assert_true(rate_at(&plain, i) < rate_at(&plain, i - 1));
    }
}

static void steps_fall_at_milestones_or_regularly(void **state)
{
    const cn_schedule listed = {.kind = CN_SCHEDULE_STEP, .milestones = {3, 8}};
    const cn_schedule regular = {.kind = CN_SCHEDULE_STEP, .every = 4, .factor = 0.5};
    (void)state;
    for (int i = 0; i < ALL; i++) {
        expect(&listed, i, i < 3 * STEPS ? 1 : i < 8 * STEPS ? 0.1 : 0.01);
        expect(&regular, i, i < 4 * STEPS ? 1 : i < 8 * STEPS ? 0.5 : 0.25);
    }
}

static void polynomials_fall_to_their_end(void **state)
{
    const cn_schedule straight = {.kind = CN_SCHEDULE_POLYNOMIAL};
    const cn_schedule square = {.kind = CN_SCHEDULE_POLYNOMIAL, .power = 2, .end = 0.2};
    (void)state;
    for (int i = 0; i < ALL; i++) {
        double rest = (double)(ALL - i) / ALL;
        expect(&straight, i, rest);
        expect(&square, i, line(rest * rest, 0, 0.2, 1, 1));
    }
}

static void one_cycle_is_a_triangle(void **state)
{
    const cn_schedule given = {
        .kind = CN_SCHEDULE_ONE_CYCLE, .start = 0.2, .peak = 0.5, .end = 0.07};
    const cn_schedule plain = {.kind = CN_SCHEDULE_ONE_CYCLE};
    (void)state;
    for (int i = 0; i < ALL; i++) {
        expect(&given, i, i < 35 ? line(i, 0, 0.2, 35, 1) : line(i, 35, 1, 70, 0.07));
        expect(&plain, i, i < 21 ? line(i, 0, 0.04, 21, 1) : line(i, 21, 1, 70, 0));
    }
}

static void a_warm_up_leads_to_any_of_them(void **state)
{
    (void)state;
    for (int kind = CN_SCHEDULE_DEFAULT; kind <= CN_SCHEDULE_PLATEAU; kind++) {
        const cn_schedule warm = {
            .kind = (cn_schedule_kind)kind, .warmup = 2, .every = kind == CN_SCHEDULE_STEP ? 4 : 0};
        const cn_schedule cold = {.kind = warm.kind, .every = warm.every};
        for (int i = 0; i < 14; i++) expect(&warm, i, (i + 1) / 15.0);
        /* Then what the kind does in the 8 epochs that are left; milestones are not moved. */
        for (int i = 14; i < ALL; i++)
            if (kind == CN_SCHEDULE_STEP)
                expect(&warm, i, rate_at(&cold, i) / RATE);
            else
                expect(&warm, i, cn_schedule_rate(&cold, 1, i - 14, STEPS, EPOCHS - 2));
    }
}

static void a_warm_up_may_be_part_of_an_epoch_or_all_there_is(void **state)
{
    const cn_schedule part = {.warmup = 0.45}, whole = {.warmup = 1000};
    (void)state;
    for (int i = 0; i < 3; i++) expect(&part, i, (i + 1) / 4.0); /* round(0.45 x 7) = 3 steps */
    expect(&part, 3, 1);
    for (int i = 0; i < ALL; i++) expect(&whole, i, (i + 1) / (ALL + 1.0));
}

static void a_plateau_falls_to_its_end(void **state)
{
    const cn_schedule s = {.kind = CN_SCHEDULE_PLATEAU, .factor = 0.5, .end = 0.2};
    (void)state;
    assert_float_equal(cn_schedule_plateau(&s, 0), 1, 0);
    assert_float_equal(cn_schedule_plateau(&s, 1), 0.5, 0);
    assert_float_equal(cn_schedule_plateau(&s, 2), 0.25, 0);
    assert_float_equal(cn_schedule_plateau(&s, 3), 0.2, 0);
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const struct {
        cn_schedule schedule;
        const char *text;
    } wrong[] = {
        {{.kind = (cn_schedule_kind)9}, "fit: unknown schedule 9"},
        {{.warmup = -1}, "fit: schedule: warm-up -1, expected epochs, 0 or more"},
        {{.warmup = NAN}, "fit: schedule: warm-up nan, expected epochs, 0 or more"},
        {{.start = 2}, "fit: schedule: start 2, expected 0 to 1"},
        {{.peak = 1}, "fit: schedule: peak 1, expected 0 to less than 1"},
        {{.end = -0.5}, "fit: schedule: end -0.5, expected 0 to 1"},
        {{.power = -1}, "fit: schedule: power -1, expected above 0"},
        {{.factor = 1.5}, "fit: schedule: factor 1.5, expected 0 to 1"},
        {{.every = -3}, "fit: schedule: every -3, expected 1 epoch or more"},
        {{.patience = -3}, "fit: schedule: patience -3, expected 1 epoch or more"},
        {{.milestones = {30, 20}}, "fit: schedule: milestone 20, expected rising epochs"},
        {{.milestones = {-30}}, "fit: schedule: milestone -30, expected rising epochs"},
        {{.milestones = {0, 20}}, "fit: schedule: milestone 20, expected none after a zero"},
        {{.kind = CN_SCHEDULE_STEP},
         "fit: schedule: steps without milestones, and not every so many epochs"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cn_error err;
        assert_int_equal(cn_schedule_check(&wrong[i].schedule, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_constant_stays),
        cmocka_unit_test(cosine_falls_from_the_rate_to_its_end),
        cmocka_unit_test(steps_fall_at_milestones_or_regularly),
        cmocka_unit_test(polynomials_fall_to_their_end),
        cmocka_unit_test(one_cycle_is_a_triangle),
        cmocka_unit_test(a_warm_up_leads_to_any_of_them),
        cmocka_unit_test(a_warm_up_may_be_part_of_an_epoch_or_all_there_is),
        cmocka_unit_test(a_plateau_falls_to_its_end),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
