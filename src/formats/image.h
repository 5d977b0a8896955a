/* image.h - images as files: one format a file, one row of the table in image.c. */
#ifndef CN_IMAGE_H
#define CN_IMAGE_H

#include "base/base.h"

/* An image with more pixels than this is refused before anything is allocated for it. */
#define CN_IMAGE_PIXELS ((size_t)1 << 28)
/* Microscopes and satellites have more channels than eyes, some of the latter a few hundred. */
enum { CN_IMAGE_CHANNELS = 1024 };

/* CN_IMAGE_BYTES is U8 whatever the file has; CN_IMAGE_AS_STORED keeps more than 8 bits a
 * sample as F32 in [0, 1]. CN_IMAGE_INDICES is for masks: the indices of a palette, and samples as
 * they are stored, U8, or where they have 16 bits F32 in [0, 1]. */
typedef enum cn_image_depth { CN_IMAGE_BYTES, CN_IMAGE_AS_STORED, CN_IMAGE_INDICES } cn_image_depth;

/* What a file's header says of its samples; false where it cannot be read, which decoding explains.
 */
typedef struct cn_image_form {
    bool color; /* and not gray */
    bool deep;  /* more than 8 bits */
    bool floats;
    int channels;      /* that are neither gray nor color, with alpha or without; 0: none of it */
    int rows, columns; /* as they are stored */
} cn_image_form;

/* The part of an image that is brought to n_H x n_W: the first row and column, rows and columns. */
typedef struct cn_image_part {
    int top, left, height, width;
} cn_image_part;
/* The one that the options say, of an image of so many rows and columns. */
cn_image_part cn_image_fit_part(int rows, int columns, int n_H, int n_W, const cn_image_opts *opts);

/* What else chooses the part, such as a draw. */
typedef struct cn_framing {
    cn_image_part (*choose)(const void *argument, int rows, int columns);
    const void *argument;
} cn_framing;

/* What an image is decoded for: a part of it, at this size. */
typedef struct cn_image_aim {
    int n_H, n_W;
    const cn_image_opts *opts;
    const cn_framing *framing; /* NULL: as the options say */
} cn_image_aim;

/* What came of it. `reduced` pixels along each axis of the image are one of the tensor: 1, 2, 4
 * or 8. */
typedef struct cn_image_view {
    int rows, columns; /* of the image */
    cn_image_part part;
    int reduced;
} cn_image_view;

/* Of masks: class v has the color 0xRRGGBB color[v]. */
typedef struct cn_mask_colors {
    int count;
    int32_t color[CN_MASK_IGNORED];
    const char *path; /* of the file that says so */
} cn_mask_colors;
/* cn_mask_load of a mask in color or with a palette; one in gray has values, unless all of the colors
 * are gray. `colors` NULL: as cn_mask_load does. */
cn_status cn_mask_load_colors(cn_tensor *mask, const char *path, const cn_mask_colors *colors,
                              cn_error *err);

typedef struct cn_image_format {
    const char *name;
    const char *library; /* what reads it, and its switch; NULL: we do */
    bool (*detects)(const uint8_t *bytes, size_t size);
    /* A tensor (n_H, n_W, n_C) as a viewer shows it, the caller's to free; `name` is the file's. NULL:
     * built without that library, and then find_form may be NULL, too. */
    cn_status (*decode)(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err);
    bool (*find_form)(cn_image_form *form, const char *path); /* of a file that `detects` */
    /* The same, reduced where the aim is small: by a factor that is a function of the image's size
     * and the aim. NULL: the format has no such way. */
    cn_status (*decode_for)(cn_tensor *image, cn_image_view *view, const char *name,
                            const uint8_t *bytes, size_t size, const cn_image_aim *aim,
                            cn_error *err);
} cn_image_format;

extern const cn_image_format cn_image_png, cn_image_jpeg, cn_image_webp, cn_image_tiff,
    cn_image_gif, cn_image_pnm, cn_image_pam, cn_image_bmp;
/* The format of a file that begins so, of which CN_HEAD bytes are enough; NULL for none. */
const cn_image_format *cn_image_format_of(const uint8_t *bytes, size_t size);

/* Decodes a file's bytes, whatever format they are. */
cn_status cn_image_decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                          cn_image_depth depth, cn_error *err);
/* Decodes a file into an empty tensor. */
cn_status cn_image_read(cn_tensor *image, const char *path, cn_image_depth depth, cn_error *err);
/* Decodes a file for an aim; U8 unless its options say `deep`. */
cn_status cn_image_read_for(cn_tensor *image, cn_image_view *view, const char *path,
                            const cn_image_aim *aim, cn_error *err);
/* The view of an image that is whole. */
cn_image_view cn_image_view_of(int rows, int columns, const cn_image_aim *aim);
/* cn_image_fit of what a view sees. */
cn_status cn_image_fit_view(const cn_tensor *image, const cn_image_view *view, const int shape[3],
                            const cn_image_opts *opts, cn_tensor *out, cn_error *err);

bool cn_image_find_form(cn_image_form *form, const char *path);
/* For find_form: the first bytes of a file, fewer than `room` where it is shorter; and an extent, 0
 * for one that no image has. */
bool cn_image_read_head(const char *path, uint8_t *head, size_t room, size_t *size);
int cn_image_extent(size_t n);

/* For decoders: allocates an image after checking its size against the budget, and against
 * `most`, the pixels that so small a file can hold. */
cn_status cn_image_create(cn_tensor *image, const char *name, cn_dtype dtype, size_t height,
                          size_t width, int channels, size_t most, cn_error *err);
/* The check alone. */
/* The error for a mask in a format that changes values. */
cn_status cn_image_refuse_lossy(const char *name, const char *format, cn_error *err);
cn_status cn_image_check(const char *name, size_t height, size_t width, int channels, size_t most,
                         cn_error *err);

/* For decoders: the orientation that Exif data (a TIFF file) speaks of, 1 to 8; 1 for data that are
 * damaged or do not say. */
int cn_exif_orientation(const uint8_t *bytes, size_t size);
/* CN_ERR_UNSUPPORTED where cn_image_fit cannot bring an image to so many channels: five and more are
 * no gray or color. `name` is the file's. */
cn_status cn_image_check_channels(const cn_tensor *image, int channels, const char *name,
                                  cn_error *err);

/* For decoders: turns and mirrors an image that is stored so into what a viewer shows. */
cn_status cn_image_orient(cn_tensor *image, int orientation, const char *name, cn_error *err);

#endif
