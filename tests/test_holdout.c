/* What is held out of a set, and that nothing is in both parts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "convnet.h"

/* n images of one pixel, image i of brightness i, label i % 3. */
static cn_dataset *numbered(int n)
{
    uint8_t pixels[250];
    int32_t labels[250];
    cn_dataset *data = NULL;
    for (int i = 0; i < n; i++) {
        pixels[i] = (uint8_t)i;
        labels[i] = i % 3;
    }
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){n, 1, 1, 1}, pixels);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 3, NULL), CN_OK);
    return data;
}

static int number(const cn_dataset *data, int i)
{
    float x;
    int32_t label;
    cn_dataset_batch(data, &i, 1, NULL, NULL, &x, &label, NULL);
    int found = (int)(x * 255.0f + 0.5f);
    assert_int_equal(label, found % 3);
    return found;
}

static void every_tenth_is_held_out_in_order(void **state)
{
    (void)state;
    cn_dataset *data = numbered(95), *kept = NULL, *held = NULL;
    assert_int_equal(cn_dataset_hold_out(&kept, &held, data, 0.1, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(held), 9);
    assert_int_equal(cn_dataset_size(kept), 86);
    for (int i = 0; i < 9; i++) assert_int_equal(number(held, i), 10 * i + 9);
    for (int i = 0, next = 0; i < 86; i++, next++) {
        if (next % 10 == 9 && next < 90) next++;
        assert_int_equal(number(kept, i), next);
    }
    cn_dataset_free(data);
    cn_dataset_free(kept);
    cn_dataset_free(held);
}

static void any_fraction_divides_without_loss(void **state)
{
    static const double fractions[] = {0.004, 0.05, 1.0 / 3, 0.5, 0.7, 0.9, 0.996};
    (void)state;
    cn_dataset *data = numbered(250);
    for (size_t f = 0; f < sizeof fractions / sizeof *fractions; f++) {
        cn_dataset *kept = NULL, *held = NULL;
        int seen[250] = {0};
        assert_int_equal(cn_dataset_hold_out(&kept, &held, data, fractions[f], NULL), CN_OK);
        assert_int_equal(cn_dataset_size(held), (int)(250 * fractions[f]));
        for (int i = 0; i < cn_dataset_size(kept); i++) seen[number(kept, i)]++;
        for (int i = 0; i < cn_dataset_size(held); i++) seen[number(held, i)]++;
        for (int i = 0; i < 250; i++) assert_int_equal(seen[i], 1);
        cn_dataset_free(kept);
        cn_dataset_free(held);
    }
    cn_dataset_free(data);
}

/* Of 84 or 83 images a class, each gives its share, and the seed says which. */
static void a_split_takes_a_share_of_every_class(void **state)
{
    static const double fractions[] = {0.02, 0.1, 1.0 / 3, 0.9};
    (void)state;
    cn_dataset *data = numbered(250);
    for (size_t f = 0; f < sizeof fractions / sizeof *fractions; f++) {
        int before[250] = {0}, differ = 0;
        for (uint64_t seed = 0; seed < 5; seed++) {
            cn_dataset *kept = NULL, *held = NULL;
            int seen[250] = {0}, classes[3] = {0};
            assert_int_equal(cn_dataset_split(&kept, &held, data, fractions[f], seed, NULL), CN_OK);
            assert_int_equal(cn_dataset_size(held), (int)(250 * fractions[f]));
            for (int i = 0, last = -1; i < cn_dataset_size(kept); i++) {
                assert_true(number(kept, i) > last); /* the order is the set's */
                last = number(kept, i);
                seen[last]++;
            }
            for (int i = 0; i < cn_dataset_size(held); i++) {
                int n = number(held, i);
                classes[n % 3]++;
                seen[n]++;
                if (seed > 0) differ += !before[n];
            }
            for (int i = 0; i < 250; i++) assert_int_equal(seen[i], 1);
            for (int k = 0; k < 3; k++) {
                double share = (k == 0 ? 84 : 83) * fractions[f];
                assert_true(classes[k] > share - 1 && classes[k] < share + 1);
            }
            for (int i = 0; i < 250; i++) before[i] = 0;
            for (int i = 0; i < cn_dataset_size(held); i++) before[number(held, i)] = 1;
            cn_dataset_free(kept);
            cn_dataset_free(held);
        }
        assert_true(differ > 4);
    }
    cn_dataset_free(data);
}

static void a_split_depends_on_its_seed_alone(void **state)
{
    (void)state;
    cn_dataset *data = numbered(100), *a[2] = {NULL}, *b[2] = {NULL};
    assert_int_equal(cn_dataset_split(&a[0], &a[1], data, 0.2, 7, NULL), CN_OK);
    assert_int_equal(cn_dataset_split(&b[0], &b[1], data, 0.2, 7, NULL), CN_OK);
    for (int p = 0; p < 2; p++) {
        assert_int_equal(cn_dataset_size(a[p]), cn_dataset_size(b[p]));
        for (int i = 0; i < cn_dataset_size(a[p]); i++)
            assert_int_equal(number(a[p], i), number(b[p], i));
        cn_dataset_free(a[p]);
        cn_dataset_free(b[p]);
    }
    cn_dataset_free(data);
}

static void an_empty_part_is_an_error(void **state)
{
    static const double fractions[] = {0, -1, 1, 2, 0.05, 0.0 / 0.0};
    (void)state;
    cn_dataset *data = numbered(10), *kept = NULL, *held = NULL;
    for (size_t f = 0; f < sizeof fractions / sizeof *fractions; f++) {
        cn_error err;
        assert_int_equal(cn_dataset_hold_out(&kept, &held, data, fractions[f], &err),
                         CN_ERR_ARGUMENT);
        assert_int_equal(cn_dataset_split(&kept, &held, data, fractions[f], 1, &err),
                         CN_ERR_ARGUMENT);
        assert_null(kept);
        assert_null(held);
    }
    cn_dataset_free(data);
}

static void a_selection_may_repeat_and_must_exist(void **state)
{
    (void)state;
    cn_dataset *data = numbered(10), *part = NULL;
    assert_int_equal(cn_dataset_select(&part, data, (int[]){7, 0, 7}, 3, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(part), 3);
    assert_int_equal(number(part, 0), 7);
    assert_int_equal(number(part, 1), 0);
    assert_int_equal(number(part, 2), 7);
    cn_dataset_free(part);

    part = NULL;
    cn_error err;
    assert_int_equal(cn_dataset_select(&part, data, (int[]){3, 10}, 2, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "dataset selection: image 10, expected 0 to 9");
    assert_int_equal(cn_dataset_select(&part, data, (int[]){3}, 0, NULL), CN_ERR_SHAPE);
    assert_null(part);
    cn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tenth_is_held_out_in_order),
        cmocka_unit_test(any_fraction_divides_without_loss),
        cmocka_unit_test(a_split_takes_a_share_of_every_class),
        cmocka_unit_test(a_split_depends_on_its_seed_alone),
        cmocka_unit_test(an_empty_part_is_an_error),
        cmocka_unit_test(a_selection_may_repeat_and_must_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
