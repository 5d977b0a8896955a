/*
 * image_jpeg.c - JPEG through libjpeg, with an error manager of ours: its own one exits.
 *
 * Exif lies in a marker APP1 that begins with "Exif" and two zeros.
 *
 * Gray stays gray, everything else becomes RGB. libjpeg does not convert CMYK, so we do. A file
 * cut short is an error here, where libjpeg would fill up with gray and warn.
 *
 * Where a small image is made of a large one, libjpeg computes a half, a quarter or an eighth of its
 * rows and columns alone, from as many of the frequencies. Where a part of it is drawn, libjpeg-turbo
 * decodes the rows and columns around that alone.
 */
#include "base/source.h"
#include "formats/image.h"

#include <string.h>

static bool detects(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

/* A segment that may hold Exif data: do they turn rows into columns? */
static bool read_exif(cn_source *s, size_t size, bool *turned)
{
    static const char exif[6] = "Exif\0";
    uint8_t *bytes = cn_allocate(size, 1, "header", NULL);
    if (!bytes) return false;
    bool read = cn_source_read(s, bytes, size, "segment", NULL) == CN_OK;
    if (read && memcmp(bytes, exif, sizeof exif) == 0)
        *turned = cn_exif_orientation(bytes + sizeof exif, size - sizeof exif) >= 5;
    cn_release(bytes);
    return read;
}

/* From behind the first marker on: segments FF marker length; in that of a frame (C0 to CF but C4,
 * C8, CC) the precision, height, width, and the number of components, 1 for gray (ITU T.81, B.2.2). */
static bool read_form(cn_source *s, cn_image_form *form)
{
    uint8_t b[8];
    bool turned = false; /* rows are shown as columns */
    for (;;) {
        if (cn_source_read(s, b, 2, "marker", NULL) != CN_OK || b[0] != 0xff) return false;
        while (b[1] == 0xff) /* any number of them may fill up */
            if (cn_source_read(s, b + 1, 1, "marker", NULL) != CN_OK) return false;
        bool frame = b[1] >= 0xc0 && b[1] <= 0xcf && b[1] != 0xc4 && b[1] != 0xc8 && b[1] != 0xcc;
        if (b[1] == 0xd9 || b[1] == 0xda) return false; /* the end, or pixels without a frame */
        uint8_t marker = b[1];
        if (cn_source_read(s, b, 2, "segment", NULL) != CN_OK) return false;
        size_t length = (size_t)b[0] << 8 | b[1];
        if (length < 2) return false;
        if (marker == 0xe1 && length > 8) {
            if (!read_exif(s, length - 2, &turned)) return false;
            continue;
        }
        if (!frame) {
            if (!cn_source_skip(s, length - 2)) return false;
            continue;
        }
        if (length < 8 || cn_source_read(s, b, 6, "frame", NULL) != CN_OK) return false;
        int rows = b[1] << 8 | b[2], columns = b[3] << 8 | b[4];
        *form = (cn_image_form){.color = b[5] != 1,
                                .rows = turned ? columns : rows,
                                .columns = turned ? rows : columns};
        return true;
    }
}

static bool find_form(cn_image_form *form, const char *path)
{
    cn_source *source = NULL;
    uint8_t first[2];
    if (cn_source_open(&source, path, CN_SOURCE_PLAIN, NULL) != CN_OK) return false;
    bool found =
        cn_source_read(source, first, 2, "header", NULL) == CN_OK && read_form(source, form);
    cn_source_close(source);
    return found;
}

#ifdef CONVNET_HAVE_JPEG

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

/* Everything that must survive a longjmp lives here, in the frame above the one that jumps back.
 * libjpeg hands out pointers to the managers, so these come first in structs of their own. */
typedef struct reader {
    struct jpeg_error_mgr manager; /* first: err points here */
    struct jpeg_decompress_struct jpeg;
    struct jpeg_progress_mgr progress;
    const char *name;
    size_t size;
    const cn_image_aim *aim; /* NULL: as it is stored */
    cn_image_view view;
    cn_error *err;
    cn_status status;
    jmp_buf jump;
    cn_tensor image;
    JSAMPLE *line; /* a row of CMYK */
} reader;

static _Noreturn void failed(j_common_ptr jpeg)
{
    char text[JMSG_LENGTH_MAX];
    reader *r = (reader *)(void *)jpeg->err;
    size_t at = r->jpeg.src ? r->size - r->jpeg.src->bytes_in_buffer : 0;
    jpeg->err->format_message(jpeg, text);
    r->status = cn_fail(r->err, CN_ERR_FORMAT, "%.120s: byte %zu: JPEG: %.100s", r->name,
                        at <= r->size ? at : r->size, text);
    longjmp(r->jump, 1);
}

/* Level -1 is a warning. Missing data is no image; other oddities are common and harmless. */
static void noted(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) failed(jpeg);
}

/* A progressive file of a few bytes a scan can ask for hours of work. */
static void progressed(j_common_ptr jpeg)
{
    enum { MOST_SCANS = 200 };
    reader *r = (reader *)(void *)jpeg->err;
    if (r->jpeg.input_scan_number <= MOST_SCANS) return;
    r->status = cn_fail(r->err, CN_ERR_UNSUPPORTED, "%.120s: JPEG: more than %d scans", r->name,
                        MOST_SCANS);
    longjmp(r->jump, 1);
}

/* Inks are stored inverted, as Adobe does it: 255 is none. Files without Adobe's marker are read so by
 * browsers, Pillow and OpenCV, too. */
static void cmyk_to_rgb(const JSAMPLE *in, size_t pixels, uint8_t *out)
{
    for (size_t i = 0; i < pixels; i++, in += 4, out += 3)
        for (int c = 0; c < 3; c++) out[c] = (uint8_t)((in[c] * in[3] + 127) / 255);
}

enum { EXIF_MARKER = JPEG_APP0 + 1 };

/* What the first of the markers kept that are Exif says. */
static int find_orientation(const struct jpeg_decompress_struct *jpeg)
{
    static const uint8_t exif[6] = {'E', 'x', 'i', 'f', 0, 0};
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->marker == EXIF_MARKER && m->data_length >= sizeof exif &&
            memcmp(m->data, exif, sizeof exif) == 0)
            return cn_exif_orientation(m->data + sizeof exif, m->data_length - sizeof exif);
    return 1;
}

/* By how much libjpeg may reduce it: at least two pixels per pixel of the aim are left along each axis,
 * for the resizing to weight. What is turned or mirrored is not reduced: where its size is no
 * multiple of the factor, the pixel that is cut would come first. */
static int find_reduction(const cn_image_view *view, const cn_image_aim *aim, int orientation)
{
    int reduced = 8;
    while (reduced > 1 && (orientation != 1 || view->part.height < 2 * reduced * aim->n_H ||
                           view->part.width < 2 * reduced * aim->n_W))
        reduced /= 2;
    return reduced;
}

static void take_aim(reader *r, int orientation)
{
    bool turned = orientation >= 5;
    int rows = (int)r->jpeg.image_height, columns = (int)r->jpeg.image_width;
    r->view = cn_image_view_of(turned ? columns : rows, turned ? rows : columns, r->aim);
    r->view.reduced = find_reduction(&r->view, r->aim, orientation);
    r->jpeg.scale_num = 1;
    r->jpeg.scale_denom = (unsigned)r->view.reduced;
}

/* Some component has a sample for every pixel, and Huffman codes spend at least one bit on each of
 * its blocks of 64: a byte holds 512 pixels at most. Arithmetic codes have no such bound. */
static cn_status check_header(reader *r, int orientation)
{
    size_t most = r->size > SIZE_MAX / 512 ? SIZE_MAX : r->size * 512;
    if (r->jpeg.arith_code)
        return cn_fail(r->err, CN_ERR_UNSUPPORTED, "%.120s: JPEG with arithmetic coding", r->name);
    bool gray = r->jpeg.jpeg_color_space == JCS_GRAYSCALE;
    bool inks = r->jpeg.num_components == 4;
    r->jpeg.out_color_space = gray ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
    r->jpeg.dct_method = JDCT_ISLOW;
    cn_status status =
        cn_image_check(r->name, r->jpeg.image_height, r->jpeg.image_width, 3, most, r->err);
    if (status != CN_OK) return status;
    if (r->aim) take_aim(r, orientation);
    jpeg_calc_output_dimensions(&r->jpeg);
    return cn_image_create(&r->image, r->name, CN_DTYPE_U8, r->jpeg.output_height,
                           r->jpeg.output_width, gray ? 1 : 3, most, r->err);
}

/* What of the tensor is decoded. */
typedef struct window {
    JDIMENSION top, bottom, left, columns;
} window;

/* All of it, but for a part that is drawn from an image that has been looked at as a whole: then its rows
 * and columns, and a few more, from which chroma is interpolated at the part's border. */
static window find_window(const reader *r, int orientation)
{
    const struct jpeg_decompress_struct *jpeg = &r->jpeg;
    window w = {0, jpeg->output_height, 0, jpeg->output_width};
#if defined LIBJPEG_TURBO_VERSION_NUMBER && LIBJPEG_TURBO_VERSION_NUMBER >= 2000000
    const int margin = 4, z = r->view.reduced;
    const cn_image_part *p = &r->view.part;
    if (!r->aim || !r->aim->framing || orientation != 1 || r->line) return w;
    const int top = p->top / z - margin, left = p->left / z - margin;
    const int bottom = (p->top + p->height) / z + margin;
    const int right = (p->left + p->width) / z + margin;
    if (top > 0) w.top = (JDIMENSION)top;
    if (left > 0) w.left = (JDIMENSION)left;
    if (bottom < (int)w.bottom) w.bottom = (JDIMENSION)bottom;
    w.columns = (right < (int)w.columns ? (JDIMENSION)right : w.columns) - w.left;
#else
    (void)orientation;
#endif
    return w;
}

/* Goes to the window's first row; its columns then begin and end where blocks do. */
static void enter_window(struct jpeg_decompress_struct *jpeg, window *w)
{
#if defined LIBJPEG_TURBO_VERSION_NUMBER && LIBJPEG_TURBO_VERSION_NUMBER >= 2000000
    if (w->columns < jpeg->output_width) jpeg_crop_scanline(jpeg, &w->left, &w->columns);
    if (w->top > 0) jpeg_skip_scanlines(jpeg, w->top);
#else
    (void)jpeg, (void)w;
#endif
}

/* What of the tensor is outside the window stays zero. */
static void read_window(reader *r, window *w)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    const size_t width = jpeg->output_width, channels = (size_t)r->image.shape[2];
    enter_window(jpeg, w);
    while (jpeg->output_scanline < w->bottom) {
        uint8_t *out =
            (uint8_t *)r->image.data + ((size_t)jpeg->output_scanline * width + w->left) * channels;
        jpeg_read_scanlines(jpeg, r->line ? &r->line : &out, 1);
        if (r->line) cmyk_to_rgb(r->line, width, out);
    }
}

static cn_status read_image(reader *r)
{
    if (setjmp(r->jump)) return r->status;
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    jpeg_save_markers(jpeg, EXIF_MARKER, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    int orientation = find_orientation(jpeg); /* finishing forgets the markers */
    r->status = check_header(r, orientation);
    if (r->status != CN_OK) return r->status;
    jpeg_start_decompress(jpeg);
    size_t width = jpeg->output_width;
    if (jpeg->out_color_space == JCS_CMYK) {
        r->line = cn_allocate(width, 4, r->name, r->err);
        if (!r->line) return CN_ERR_MEMORY;
    }
    window w = find_window(r, orientation);
    const bool whole = w.bottom == jpeg->output_height;
    read_window(r, &w);
    if (whole)
        jpeg_finish_decompress(jpeg);
    else
        jpeg_abort_decompress(jpeg);
    return cn_image_orient(&r->image, orientation, r->name, r->err);
}

/* In a frame of its own, as jpeg_create_decompress may fail already. */
static cn_status open_image(reader *r, const uint8_t *bytes)
{
    if (setjmp(r->jump)) return r->status;
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.progress = &r->progress;
    jpeg_mem_src(&r->jpeg, bytes, (unsigned long)r->size);
    return CN_OK;
}

/* `aim` NULL: as it is stored, and there is no view. */
static cn_status decode_at(cn_tensor *image, cn_image_view *view, const char *name,
                           const uint8_t *bytes, size_t size, const cn_image_aim *aim,
                           cn_error *err)
{
    reader r = {.name = name, .size = size, .aim = aim, .err = err};
    r.jpeg.err = jpeg_std_error(&r.manager);
    r.manager.error_exit = failed;
    r.manager.emit_message = noted;
    r.progress.progress_monitor = progressed;
    r.status = open_image(&r, bytes);
    if (r.status == CN_OK) r.status = read_image(&r);
    jpeg_destroy_decompress(&r.jpeg);
    cn_release(r.line);
    if (r.status == CN_OK) {
        *image = r.image;
        if (aim) *view = r.view;
    } else {
        cn_tensor_free(&r.image);
    }
    return r.status;
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    if (depth == CN_IMAGE_INDICES) return cn_image_refuse_lossy(name, "JPEG", err);
    return decode_at(image, NULL, name, bytes, size, NULL, err);
}

#endif

const cn_image_format cn_image_jpeg = {
    .name = "JPEG",
    .library = "libjpeg (CONVNET_JPEG)",
    .detects = detects,
    .find_form = find_form,
#ifdef CONVNET_HAVE_JPEG
    .decode = decode,
    .decode_for = decode_at,
#endif
};
