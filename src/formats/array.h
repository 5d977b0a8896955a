/* array.h - arrays of numbers as files hold them, of more types and roles than a tensor's. */
#ifndef CN_ARRAY_H
#define CN_ARRAY_H

#include "base/base.h"

typedef enum cn_element {
    CN_ELEMENT_U8,
    CN_ELEMENT_U16,
    CN_ELEMENT_I32,
    CN_ELEMENT_I64,
    CN_ELEMENT_F32,
    CN_ELEMENT_F64,
    CN_ELEMENT_I8,
    CN_ELEMENT_I16,
    CN_ELEMENT_U32,
    CN_ELEMENT_U64,
    CN_ELEMENT_F16,  /* IEEE 754 binary16 */
    CN_ELEMENT_TEXT, /* strings, of UTF-8 or of any bytes */
} cn_element;

/* What a file says of an array. Names longer than the room are no array to us. */
enum { CN_ARRAY_NAME = 160 };
typedef struct cn_array_about {
    char name[CN_ARRAY_NAME];
    cn_element element;
    size_t width; /* of a text: its bytes, filled up with zeros */
    int rank;
    int shape[CN_MAX_RANK]; /* each extent at least 1 */
} cn_array_about;

/* An array in memory, in this machine's order of bytes; free `data` with cn_release. */
typedef struct cn_array {
    cn_array_about about;
    void *data;
} cn_array;

/* Where an array's elements lie in a file, one after the other in C order. */
typedef struct cn_array_place {
    const char *path;   /* of the array's file, which lives as long as the cn_array_file does */
    size_t offset;      /* of the first element, in bytes */
    cn_element element; /* as they are stored, which may be less than what reading makes of them */
    bool swapped;       /* in the other order of bytes than this machine's */
} cn_array_place;

/* A file of several arrays, opened. */
typedef struct cn_array_file cn_array_file;
struct cn_array_file {
    const char *path; /* the caller's */
    int count;
    cn_array_about *abouts;
    int passed_over;  /* arrays of other elements or ranks */
    char passed[160]; /* the first of them, and why */
    /* What the file says of the classes: their number (0: nothing), and their names or NULL. */
    int classes;
    char **class_names;
    cn_status (*read)(const cn_array_file *file, int i, cn_array *out, cn_error *err);
    /* Checks that array i, which is none of texts, has all of its elements, and finds them; *found is
     * false where they do not lie in the file so: packed, in pieces, or in Fortran's order. */
    cn_status (*locate)(const cn_array_file *file, int i, cn_array_place *place, bool *found,
                        cn_error *err);
    void (*close)(cn_array_file *file);
    void *handle; /* its reader's */
};

cn_status cn_hdf5_open(cn_array_file *file, const char *path, cn_error *err);
cn_status cn_npz_open(cn_array_file *file, const char *path, cn_error *err);
void cn_array_file_close(cn_array_file *file);

/* Texts of more bytes are no labels. */
enum { CN_TEXT_MOST = 4096 };
size_t cn_array_element_size(const cn_array_about *about);
bool cn_element_is_float(cn_element element);
const char *cn_element_name(cn_element element); /* as NumPy has it: "u1" */
/* The elements of the shape; false where that overflows. */
bool cn_array_count(const cn_array_about *about, size_t *count);
/* `count` elements of `size` bytes into the other order of bytes. */
void cn_swap_bytes(uint8_t *p, size_t count, size_t size);
/* A character as UTF-8, of which `out` has room for 4 bytes; returns how many there are. */
size_t cn_utf8_put(uint8_t *out, uint32_t c);
/* The number that an IEEE 754 binary16 stands for. */
double cn_half_value(uint16_t half);
/* Element i, of a text NaN, as a double, which holds every label and every pixel exactly. */
double cn_array_value(const cn_array *array, size_t i);
/* Counts an array that is passed over; `why` is "strings", or what the library beneath says. */
void cn_array_file_pass(cn_array_file *file, const char *name, const char *why);
/* Adds to a list that grows by doubling, and is freed with cn_release. */
cn_status cn_array_file_add(cn_array_file *file, const cn_array_about *about, cn_error *err);

#endif
