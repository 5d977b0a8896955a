/* Safetensors: written and read back, lies refused, a save that fails leaves the old file. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/sink.h"
#include "files.h"
#include "formats/safetensors.h"

/* ---- Reading */

/* A file of this header and `size` bytes of tensors: 0, 1, 2 ... */
typedef struct seed {
    uint8_t at[2048];
    size_t size;
} seed;

static seed make_seed(const char *header, size_t size)
{
    seed s = {{0}, 0};
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++) s.at[s.size++] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(s.at + s.size, header, length);
    s.size += length;
    for (size_t i = 0; i < size; i++) s.at[s.size++] = (uint8_t)i;
    return s;
}

typedef cn_status read_source(cn_safetensors *file, cn_source *source, cn_error *err);

static cn_status read_seed_as(const seed *s, read_source *read, cn_safetensors *file, cn_error *err)
{
    cn_source *source = NULL;
    uint8_t *exact = files_exact(s->at, s->size);
    assert_int_equal(cn_source_memory(&source, "seed", exact, s->size, CN_SOURCE_PLAIN, err),
                     CN_OK);
    cn_status status = read(file, source, err);
    cn_source_close(source);
    free(exact);
    return status;
}

static cn_status read_seed(const seed *s, cn_safetensors *file, cn_error *err)
{
    return read_seed_as(s, cn_safetensors_read, file, err);
}

static void expect_lie(const char *header, size_t size, cn_status status, const char *part)
{
    seed s = make_seed(header, size);
    cn_safetensors file = {0};
    cn_error err = {CN_OK, ""};
    assert_int_equal(read_seed(&s, &file, &err), status);
    assert_null(file.tensors);
    assert_says(err, "seed");
    assert_says(err, part);
}

#define GOOD                                                          \
    "{\"__metadata__\":{\"k\":\"v\"},"                                \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}," \
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}} "

static void a_file_gives_tensors_and_texts(void **state)
{
    (void)state;
    seed s = make_seed(GOOD, 11);
    cn_safetensors file = {0};
    assert_int_equal(read_seed(&s, &file, NULL), CN_OK);
    assert_int_equal(file.tensor_count, 2);
    assert_string_equal(file.tensors[0].name, "a");
    const cn_named_tensor *b = cn_safetensors_find(&file, "b");
    assert_int_equal(b->value.dtype, CN_DTYPE_U8);
    assert_memory_equal(b->value.data, "\10\11\12", 3);
    assert_int_equal(cn_safetensors_find(&file, "a")->value.shape[0], 2);
    assert_null(cn_safetensors_find(&file, "c"));
    assert_string_equal(cn_safetensors_metadata(&file, "k"), "v");
    assert_null(cn_safetensors_metadata(&file, "l"));
    cn_safetensors_free(&file);
    assert_null(file.tensors);
    s = make_seed("{}", 0);
    assert_int_equal(read_seed(&s, &file, NULL), CN_OK);
    assert_int_equal(file.tensor_count, 0);
    cn_safetensors_free(&file);
}

#define ONE(dtype, shape, offsets) \
    "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void lies_are_refused_by_name(void **state)
{
    (void)state;
    expect_lie("", 0, CN_ERR_FORMAT, "byte 0: a header of 0 bytes, expected 2 to");
    expect_lie("[]", 0, CN_ERR_FORMAT, "byte 8: header: expected {, found 5b");
    expect_lie(" {}", 0, CN_ERR_FORMAT, "expected {, found 20");
    expect_lie("{]", 0, CN_ERR_FORMAT, "byte 10: header: ");
    expect_lie("{\"a\":1,\"a\":1}", 0, CN_ERR_FORMAT, "duplicate");
    expect_lie("{\"w\":1}", 0, CN_ERR_FORMAT, "tensor w: expected dtype, shape and data_offsets");
    expect_lie("{\"__metadata__\":1}", 0, CN_ERR_FORMAT, "__metadata__: expected an object");
    expect_lie("{\"__metadata__\":{\"k\":1}}", 0, CN_ERR_FORMAT,
               "__metadata__: k: expected a text");
    expect_lie(ONE("1", "[1]", "[0,4]"), 4, CN_ERR_FORMAT, "tensor w: no dtype");
    expect_lie(ONE("\"F16\"", "[1]", "[0,2]"), 2, CN_ERR_UNSUPPORTED, "tensor w: dtype F16");
    expect_lie(ONE("\"F32\"", "1", "[0,4]"), 4, CN_ERR_FORMAT, "tensor w: no shape");
    expect_lie(ONE("\"F32\"", "[]", "[0,4]"), 4, CN_ERR_UNSUPPORTED, "rank 0, expected 1 to 4");
    expect_lie(ONE("\"F32\"", "[1,1,1,1,1]", "[0,4]"), 4, CN_ERR_UNSUPPORTED, "rank 5");
    expect_lie(ONE("\"F32\"", "[0]", "[0,0]"), 0, CN_ERR_FORMAT, "extent 0: expected 1 to");
    expect_lie(ONE("\"F32\"", "[-1]", "[0,4]"), 4, CN_ERR_FORMAT, "found -1");
    expect_lie(ONE("\"F32\"", "[1.0]", "[0,4]"), 4, CN_ERR_FORMAT, "extent 0: expected 1 to");
    expect_lie(ONE("\"F32\"", "[2147483648]", "[0,4]"), 4, CN_ERR_FORMAT, "found 2147483648");
    expect_lie(ONE("\"F64\"", "[2147483647,2147483647,2147483647]", "[0,4]"), 4, CN_ERR_FORMAT,
               "exceeds the address space");
    expect_lie(ONE("\"F32\"", "[1]", "[0]"), 4, CN_ERR_FORMAT, "expected [begin, end]");
    expect_lie(ONE("\"F32\"", "[1]", "[4,0]"), 4, CN_ERR_FORMAT, "expected [begin, end]");
    expect_lie(ONE("\"F32\"", "[1]", "[-4,0]"), 4, CN_ERR_FORMAT, "expected [begin, end]");
    expect_lie(ONE("\"F32\"", "[2]", "[0,4]"), 4, CN_ERR_FORMAT, "expected 8 bytes, found 4");
    expect_lie(ONE("\"F32\"", "[1]", "[4,8]"), 8, CN_ERR_FORMAT, "begins at offset 4, expected 0");
    expect_lie(ONE("\"F32\"", "[1]", "[0,4]"), 3, CN_ERR_FORMAT,
               "expected 4 bytes of tensors, found 3");
    expect_lie(ONE("\"F32\"", "[1]", "[0,4]"), 5, CN_ERR_FORMAT,
               "expected 4 bytes of tensors, found 5");
    expect_lie(ONE("\"U8\"", "[2147483647,2147483647]", "[0,4611686014132420609]"), 9,
               CN_ERR_FORMAT, "expected 4611686014132420609 bytes of tensors, found 9");
    expect_lie("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
               "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
               6, CN_ERR_FORMAT, "tensor b: begins at offset 2, expected 4");
    expect_lie("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
               "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
               5, CN_ERR_FORMAT, "tensor b: begins at offset 3, expected 2");
    seed s = make_seed(GOOD, 11);
    cn_safetensors file = {0};
    cn_error err;
    memset(s.at, 0xff, 7);
    assert_int_equal(read_seed(&s, &file, &err), CN_ERR_FORMAT);
    assert_says(err, "byte 0: a header of 72057594037927935 bytes");
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    seed s = make_seed(GOOD, 11);
    cn_safetensors file = {0};
    cn_error err;
    for (s.size--; s.size > 0; s.size--) {
        assert_int_equal(read_seed(&s, &file, &err), CN_ERR_FORMAT);
        assert_says(err, "expected");
    }
    assert_null(file.tensors);
}

/* Read as weights, a file gives its floats, widened to F32, and the same errors. */
static void floats_are_read_by_themselves(void **state)
{
    (void)state;
    static const char header[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                                 "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]}}";
    seed s = make_seed(header, 0);
    static const uint8_t data[] = {0x00, 0x3c, 0x00, 0xc1, 1, 2, 3}; /* 1 and -2.5 */
    memcpy(s.at + s.size, data, sizeof data);
    s.size += sizeof data;
    cn_safetensors file = {0};
    cn_error err;
    assert_int_equal(read_seed_as(&s, cn_safetensors_read_floats, &file, &err), CN_OK);
    assert_int_equal(file.tensor_count, 1);
    assert_int_equal(file.tensors[0].value.dtype, CN_DTYPE_F32);
    const float *values = file.tensors[0].value.data;
    assert_true(values[0] == 1 && values[1] == -2.5F);
    cn_safetensors_free(&file);
    for (s.size--; s.size > 0; s.size--)
        assert_int_equal(read_seed_as(&s, cn_safetensors_read_floats, &file, &err), CN_ERR_FORMAT);
}

/* A flipped bit of the header is an error, or gives tensors that fill the file all the same (a
 * changed name, text, or an exchanged shape). */
static void every_flipped_bit_is_an_error_or_harmless(void **state)
{
    (void)state;
    const seed good = make_seed(GOOD, 11);
    int errors = 0;
    for (size_t bit = 0; bit < 8 * good.size; bit++) {
        seed s = good;
        cn_safetensors file = {0};
        size_t bytes = 0;
        s.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (read_seed(&s, &file, NULL) != CN_OK) {
            assert_null(file.tensors);
            errors++;
            continue;
        }
        for (int i = 0; i < file.tensor_count; i++)
            bytes += cn_tensor_count(&file.tensors[i].value) *
                     cn_dtype_size(file.tensors[i].value.dtype);
        assert_int_equal(bytes, 11);
        cn_safetensors_free(&file);
    }
    assert_true(errors > 1000);
}

/* ---- Writing */

static float weights[6] = {1, 2, 3, 4, 5, 6};
static double scales[2] = {0.5, -0.25};
static int32_t steps[1] = {-7};
static uint8_t marks[3] = {1, 0, 255};

enum { TENSORS = 5 };
static void fill(cn_safetensors *file, cn_named_tensor tensors[TENSORS], cn_text_pair *pair)
{
    *pair = (cn_text_pair){"note", "caf\xc3\xa9 \"quoted\"\n"};
    tensors[0] = (cn_named_tensor){"marks", cn_tensor_view(CN_DTYPE_U8, 1, (int[]){3}, marks)};
    tensors[1] = (cn_named_tensor){"w.b", cn_tensor_view(CN_DTYPE_F32, 2, (int[]){2, 3}, weights)};
    tensors[2] = (cn_named_tensor){"scales", cn_tensor_view(CN_DTYPE_F64, 1, (int[]){2}, scales)};
    tensors[3] =
        (cn_named_tensor){"w.a", cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 1, 3, 2}, weights)};
    tensors[4] = (cn_named_tensor){"step", cn_tensor_view(CN_DTYPE_I32, 1, (int[]){1}, steps)};
    *file = (cn_safetensors){
        .metadata = pair, .metadata_count = 1, .tensors = tensors, .tensor_count = TENSORS};
}

static void what_is_saved_is_loaded(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_safetensors file, back = {0};
    cn_named_tensor tensors[TENSORS];
    cn_text_pair pair;
    fill(&file, tensors, &pair);
    files_make_folder(folder);
    files_join(path, folder, "a.safetensors");
    assert_int_equal(cn_safetensors_save(&file, path, NULL), CN_OK);
    assert_int_equal(cn_safetensors_load(&back, path, NULL), CN_OK);
    assert_int_equal(back.tensor_count, TENSORS);
    const char *order[TENSORS] = {"scales", "step", "w.a", "w.b", "marks"};
    for (int i = 0; i < TENSORS; i++) {
        assert_string_equal(back.tensors[i].name, order[i]);
        const cn_tensor *in = &cn_safetensors_find(&file, order[i])->value;
        const cn_tensor *out = &back.tensors[i].value;
        assert_int_equal(out->dtype, in->dtype);
        assert_int_equal(out->rank, in->rank);
        assert_memory_equal(out->shape, in->shape, sizeof in->shape);
        assert_memory_equal(out->data, in->data, cn_tensor_count(in) * cn_dtype_size(in->dtype));
    }
    assert_string_equal(cn_safetensors_metadata(&back, "note"), pair.value);
    cn_safetensors_free(&back);
    files_remove_folder(folder);
}

static void the_same_content_gives_the_same_bytes(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    uint8_t *bytes[2];
    size_t sizes[2];
    cn_safetensors file;
    cn_named_tensor tensors[TENSORS];
    cn_text_pair pair;
    files_make_folder(folder);
    files_join(path, folder, "a.safetensors");
    fill(&file, tensors, &pair);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cn_safetensors_save(&file, path, NULL), CN_OK);
        bytes[i] = files_read(path, &sizes[i]);
        cn_named_tensor first = tensors[0];
        memmove(tensors, tensors + 1, (TENSORS - 1) * sizeof *tensors);
        tensors[TENSORS - 1] = first;
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    assert_int_equal(bytes[0][0] % 8, 0);
    assert_int_equal(files_count(folder), 1);
    free(bytes[0]);
    free(bytes[1]);
    files_remove_folder(folder);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_safetensors file;
    cn_named_tensor tensors[TENSORS];
    cn_text_pair pair;
    cn_error err;
    files_make_folder(folder);
    files_join(path, folder, "a.safetensors");
    const char *names[] = {"w.a", "__metadata__", "\xff"};
    for (int i = 0; i < 3; i++) {
        fill(&file, tensors, &pair);
        tensors[0].name = names[i];
        assert_int_equal(cn_safetensors_save(&file, path, &err), CN_ERR_ARGUMENT);
        assert_says(err, "the name is reserved, used twice, or not UTF-8");
    }
    fill(&file, tensors, &pair);
    pair.value = "\xff";
    assert_int_equal(cn_safetensors_save(&file, path, &err), CN_ERR_ARGUMENT);
    assert_says(err, "metadata note");
    fill(&file, tensors, &pair);
    tensors[2].value = (cn_tensor){0};
    assert_int_equal(cn_safetensors_save(&file, path, &err), CN_ERR_ARGUMENT);
    assert_says(err, "tensor scales: empty");
    assert_int_equal(files_count(folder), 0);
    files_remove_folder(folder);
}

/* The disk is full after 100 bytes: a limit on the size of files stands in for it. */
static void a_failed_save_leaves_the_old_file(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_safetensors file;
    cn_named_tensor tensors[TENSORS];
    cn_text_pair pair;
    cn_error err;
    struct rlimit old, small;
    size_t size;
    fill(&file, tensors, &pair);
    files_make_folder(folder);
    files_join(path, folder, "a.safetensors");
    files_write(path, "old", 3);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    cn_status status = cn_safetensors_save(&file, path, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, CN_ERR_IO);
    assert_says(err, "a.safetensors: cannot be written: File too large");
    assert_int_equal(files_count(folder), 1);
    uint8_t *bytes = files_read(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    files_remove_folder(folder);
    assert_int_equal(cn_safetensors_save(&file, path, &err), CN_ERR_IO);
    assert_says(err, "No such file or directory");
    assert_int_equal(cn_safetensors_save(&file, "/dev/null", &err), CN_ERR_IO);
    assert_says(err, "no plain file");
    assert_int_equal(cn_safetensors_save(&file, "/", &err), CN_ERR_IO);
}

static void a_save_keeps_links_and_permissions(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], link[FILES_PATH];
    struct stat about;
    cn_sink *sink = NULL;
    files_make_folder(folder);
    files_join(path, folder, "real");
    files_write(path, "old", 3);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("real", files_join(link, folder, "link")), 0);
    assert_int_equal(cn_sink_open(&sink, link, NULL), CN_OK);
    assert_int_equal(cn_sink_write(sink, "fresh", 5, NULL), CN_OK);
    assert_int_equal(files_count(folder), 3);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, 3);
    assert_int_equal(cn_sink_commit(sink, NULL), CN_OK);
    cn_sink_close(sink);
    assert_int_equal(lstat(link, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    assert_int_equal(about.st_size, 5);
    assert_int_equal(files_count(folder), 2);
    files_remove_folder(folder);
}

static void write_word(const char *path)
{
    cn_sink *sink = NULL;
    assert_int_equal(cn_sink_open(&sink, path, NULL), CN_OK);
    assert_int_equal(cn_sink_write(sink, "fresh", 5, NULL), CN_OK);
    assert_int_equal(cn_sink_commit(sink, NULL), CN_OK);
    cn_sink_close(sink);
}

/* What a killed save leaves is removed by the next one; what another save is writing, and what only
 * looks alike, is not. */
static void a_save_removes_what_a_killed_one_left(void **state)
{
    (void)state;
    static const char *const abandoned[] = {"a.tmp-1-0", "a.tmp-4194304-17"};
    static const char *const kept[] = {"a.tmp-1",   "a.tmp--1",   "a.tmp-1-", "a.tmp-1-0x",
                                       "b.tmp-1-0", "aa.tmp-1-0", "a-1-0"};
    char folder[FILES_PATH], path[FILES_PATH], other[FILES_PATH];
    cn_sink *open = NULL;
    files_make_folder(folder);
    files_join(path, folder, "a");
    for (size_t i = 0; i < sizeof abandoned / sizeof *abandoned; i++)
        files_write(files_join(other, folder, abandoned[i]), "old", 3);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        files_write(files_join(other, folder, kept[i]), "old", 3);
    files_join(other, folder, "a.tmp-2-0");
    assert_int_equal(mkdir(other, 0777), 0);

    assert_int_equal(cn_sink_open(&open, path, NULL), CN_OK);
    write_word(path);
    assert_int_equal(cn_sink_write(open, "late", 4, NULL), CN_OK);
    assert_int_equal(cn_sink_commit(open, NULL), CN_OK);
    cn_sink_close(open);
    for (size_t i = 0; i < sizeof abandoned / sizeof *abandoned; i++)
        assert_int_not_equal(access(files_join(other, folder, abandoned[i]), F_OK), 0);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_int_equal(access(files_join(other, folder, kept[i]), F_OK), 0);
    assert_int_equal(files_count(folder), 2 + sizeof kept / sizeof *kept);
    size_t size;
    uint8_t *bytes = files_read(path, &size);
    assert_int_equal(size, 4);
    free(bytes);
    files_remove_folder(folder);
}

static void links_that_lead_nowhere_and_empty_names_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], link[FILES_PATH];
    cn_sink *sink = NULL;
    cn_error err;
    files_make_folder(folder);
    assert_int_equal(symlink("nothing", files_join(link, folder, "link")), 0);
    assert_int_equal(cn_sink_open(&sink, link, &err), CN_ERR_IO);
    assert_says(err, "link: cannot be written: it is a link that leads nowhere");
    assert_int_equal(cn_sink_open(&sink, "", &err), CN_ERR_ARGUMENT);
    assert_says(err, "is empty");
    assert_null(sink);
    assert_int_equal(files_count(folder), 1);
    files_remove_folder(folder);
}

/* ---- The reference implementation, where there is one */

static void python_reads_what_we_write(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], copy[FILES_PATH], command[4 * FILES_PATH];
    const char *python = getenv("CONVNET_PYTHON") ? getenv("CONVNET_PYTHON") : "python3";
    snprintf(command, sizeof command, "%s -c 'import safetensors.numpy' 2>/dev/null", python);
    if (system(command) != 0) {
        fprintf(stderr, "skipped: %s has no safetensors (CONVNET_PYTHON names one)\n", python);
        skip();
    }
    cn_safetensors file, back = {0};
    cn_named_tensor tensors[TENSORS];
    cn_text_pair pair;
    fill(&file, tensors, &pair);
    files_make_folder(folder);
    files_join(path, folder, "a.safetensors");
    files_join(copy, folder, "b.safetensors");
    assert_int_equal(cn_safetensors_save(&file, path, NULL), CN_OK);
    snprintf(command, sizeof command,
             "%s -c 'import sys\n"
             "from safetensors import safe_open\n"
             "from safetensors.numpy import save_file\n"
             "f = safe_open(sys.argv[1], \"np\")\n"
             "t = {k: f.get_tensor(k) for k in f.keys()}\n"
             "assert t[\"w.a\"].tolist() == [[[[1, 2], [3, 4], [5, 6]]]]\n"
             "assert t[\"scales\"].dtype == \"f8\" and t[\"scales\"].tolist() == [0.5, -0.25]\n"
             "assert t[\"step\"].tolist() == [-7] and t[\"marks\"].tolist() == [1, 0, 255]\n"
             "save_file(t, sys.argv[2], f.metadata())' %s %s",
             python, path, copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(cn_safetensors_load(&back, copy, NULL), CN_OK);
    assert_int_equal(back.tensor_count, TENSORS);
    assert_memory_equal(cn_safetensors_find(&back, "w.b")->value.data, weights, sizeof weights);
    assert_string_equal(cn_safetensors_metadata(&back, "note"), pair.value);
    cn_safetensors_free(&back);
    files_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_gives_tensors_and_texts),
        cmocka_unit_test(lies_are_refused_by_name),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(floats_are_read_by_themselves),
        cmocka_unit_test(every_flipped_bit_is_an_error_or_harmless),
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(the_same_content_gives_the_same_bytes),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(a_failed_save_leaves_the_old_file),
        cmocka_unit_test(a_save_keeps_links_and_permissions),
        cmocka_unit_test(a_save_removes_what_a_killed_one_left),
        cmocka_unit_test(links_that_lead_nowhere_and_empty_names_are_refused),
        cmocka_unit_test(python_reads_what_we_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
