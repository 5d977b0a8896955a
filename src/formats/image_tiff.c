/*
 * image_tiff.c - TIFF (revision 6.0) and BigTIFF through libtiff: the first image of the file.
 *
 *   byte   size   what
 *   0      2      "II" little-endian, "MM" big-endian
 *   2      2      42, or 43 for BigTIFF
 *   4      4      where the directory lies that tells all the rest
 *
 * Samples are whole numbers of 1 to 16 or of 32 bits, with a sign or without, or floats of 16,
 * 32 or 64, in strips or tiles, pixel by pixel or channel by channel. Whole numbers are scaled, so
 * that the least of their type is 0 and the largest 1 (255 in bytes), and so are floats of a range
 * that the options say; without one they are of 0 to 1. Gray,
 * color, palettes and CMYK become what viewers show, but for the channels that belong to none of
 * these: then all are kept as they are.
 *
 * libtiff would print its errors and warnings: each handle has its own handlers, which libtiff has
 * from 4.5 on.
 */
#include "base/source.h"
#include "formats/array.h"
#include "formats/image.h"

#include <string.h>

static bool detects(const uint8_t *bytes, size_t size)
{
    static const char marks[4][4] = {"II*", "II+", {'M', 'M', 0, '*'}, {'M', 'M', 0, '+'}};
    for (size_t i = 0; size >= 4 && i < 4; i++)
        if (memcmp(bytes, marks[i], 4) == 0) return true;
    return false;
}

#ifdef CONVNET_HAVE_TIFF

#include <math.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include <tiffio.h>

enum { TEXT = 120 };

typedef enum meaning { GRAY, INVERTED, COLOR, PALETTE, INKS } meaning;

typedef struct reader {
    const char *name;
    const uint8_t *bytes;
    uint64_t size, at;
    FILE *file;      /* in place of the bytes, where only the header is looked at */
    char text[TEXT]; /* of the first error */
    TIFF *tiff;
    /* What the directory says. */
    uint32_t width, height, block_rows, block_columns;
    uint16_t bits, samples, format, planar, orientation, compression;
    uint16_t *palette[3];
    meaning meaning;
    bool alpha, premultiplied;
    bool tiled, own; /* channels that are neither gray nor color, with alpha or without */
    int channels;
    /* What is made of it. */
    cn_image_depth depth;
    double low, high; /* the floats that are 0 and 1 */
    cn_tensor image;
} reader;

/* ---- libtiff's view of the bytes */

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t count)
{
    reader *r = handle;
    if (count < 0) return 0;
    if (r->file) return (tmsize_t)fread(out, 1, (size_t)count, r->file);
    uint64_t left = r->at < r->size ? r->size - r->at : 0;
    if ((uint64_t)count > left) count = (tmsize_t)left;
    if (count) memcpy(out, r->bytes + r->at, (size_t)count);
    r->at += (uint64_t)count;
    return count;
}

static tmsize_t write_nothing(thandle_t handle, void *bytes, tmsize_t count)
{
    (void)handle;
    (void)bytes;
    (void)count;
    return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    reader *r = handle;
    uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? r->at : r->size;
    r->at = from + offset;
    if (r->file && fseeko(r->file, (off_t)r->at, SEEK_SET) != 0) return (toff_t)-1;
    return r->at;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    return ((const reader *)handle)->size;
}

static int take_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    reader *r = user;
    (void)tiff;
    (void)module;
    if (!r->text[0]) cn_vformat(r->text, sizeof r->text, format, args);
    return 1; /* and nobody else is told */
}

static int drop_warning(TIFF *tiff, void *user, const char *module, const char *format,
                        va_list args)
{
    (void)tiff;
    (void)user;
    (void)module;
    (void)format;
    (void)args;
    return 1;
}

static cn_status failed(const reader *r, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: TIFF: %s", r->name,
                   r->text[0] ? r->text : "damaged");
}

static cn_status unsupported(const reader *r, const char *what, unsigned number, cn_error *err)
{
    return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: TIFF with %s %u", r->name, what, number);
}

static cn_status open_tiff(reader *r, cn_error *err)
{
    enum { ROOM = 1 << 28 };
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) return cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory to read a TIFF", r->name);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, ROOM);
    TIFFOpenOptionsSetErrorHandlerExtR(options, take_error, r);
    TIFFOpenOptionsSetWarningHandlerExtR(options, drop_warning, r);
    r->tiff = TIFFClientOpenExt(r->name, "rm", r, read_bytes, write_nothing, seek, close_nothing,
                                size_of, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    return r->tiff ? CN_OK : failed(r, err);
}

/* ---- The directory */

/* The type of the samples, of which all have the same. */
static cn_status check_samples(const reader *r, cn_error *err)
{
    bool whole = r->format == SAMPLEFORMAT_UINT || r->format == SAMPLEFORMAT_VOID ||
                 r->format == SAMPLEFORMAT_INT;
    bool real = r->format == SAMPLEFORMAT_IEEEFP;
    if (!whole && !real) return unsupported(r, "samples of format", r->format, err);
    bool fits =
        r->bits == 16 || r->bits == 32 || (real ? r->bits == 64 : r->bits > 0 && r->bits < 16);
    if (!fits) return unsupported(r, real ? "floats of bits" : "samples of bits", r->bits, err);
    if (r->samples < 1 || r->samples > CN_IMAGE_CHANNELS)
        return unsupported(r, "a number of channels of", r->samples, err);
    if (r->planar != PLANARCONFIG_CONTIG && r->planar != PLANARCONFIG_SEPARATE)
        return unsupported(r, "a planar configuration of", r->planar, err);
    return CN_OK;
}

static cn_status find_meaning(reader *r, uint16_t photometric, cn_error *err)
{
    switch (photometric) {
    case PHOTOMETRIC_MINISBLACK: r->meaning = GRAY; return CN_OK;
    case PHOTOMETRIC_MINISWHITE: r->meaning = INVERTED; return CN_OK;
    case PHOTOMETRIC_RGB: r->meaning = COLOR; return CN_OK;
    case PHOTOMETRIC_SEPARATED: r->meaning = r->samples == 4 ? INKS : GRAY; return CN_OK;
    case PHOTOMETRIC_PALETTE:
        r->meaning = PALETTE;
        if (r->samples != 1 || r->bits > 16 || r->format == SAMPLEFORMAT_IEEEFP ||
            !TIFFGetField(r->tiff, TIFFTAG_COLORMAP, &r->palette[0], &r->palette[1],
                          &r->palette[2]))
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: TIFF: a palette without its colors",
                           r->name);
        return CN_OK;
    case PHOTOMETRIC_YCBCR: /* libjpeg converts it */
        r->meaning = COLOR;
        if (r->compression == COMPRESSION_JPEG && r->samples == 3 &&
            TIFFSetField(r->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB))
            return CN_OK;
        break;
    }
    return unsupported(r, "a photometric interpretation of", photometric, err);
}

/* What the samples beyond gray or color are. */
static void find_channels(reader *r)
{
    uint16_t extras = 0, *kinds = NULL;
    int color = r->meaning == COLOR || r->meaning == INKS ? 3 : 1;
    r->channels = r->samples;
    if (r->meaning == INKS || r->meaning == PALETTE) {
        r->channels = 3;
        if (r->meaning == PALETTE && r->depth == CN_IMAGE_INDICES) r->channels = 1;
        return;
    }
    if (r->samples == color) return;
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_EXTRASAMPLES, &extras, &kinds);
    r->alpha = r->samples == color + 1 && extras == 1 && kinds[0] != EXTRASAMPLE_UNSPECIFIED;
    r->premultiplied = r->alpha && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
    r->own = !r->alpha;
}

static cn_status read_directory(reader *r, cn_error *err)
{
    uint16_t photometric = 0;
    if (!TIFFGetField(r->tiff, TIFFTAG_IMAGEWIDTH, &r->width) ||
        !TIFFGetField(r->tiff, TIFFTAG_IMAGELENGTH, &r->height) || !r->width || !r->height)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: TIFF: no width, or no height", r->name);
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_BITSPERSAMPLE, &r->bits);
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_SAMPLESPERPIXEL, &r->samples);
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_SAMPLEFORMAT, &r->format);
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_PLANARCONFIG, &r->planar);
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_ORIENTATION, &r->orientation);
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_COMPRESSION, &r->compression);
    if (r->orientation < 1 || r->orientation > 8) r->orientation = 1;
    if (r->depth == CN_IMAGE_INDICES && r->compression == COMPRESSION_JPEG)
        return cn_image_refuse_lossy(r->name, "JPEG in TIFF", err);
    cn_status status = check_samples(r, err);
    if (status != CN_OK) return status;
    if (!TIFFGetField(r->tiff, TIFFTAG_PHOTOMETRIC, &photometric))
        photometric = r->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    status = find_meaning(r, photometric, err);
    if (status != CN_OK) return status;
    find_channels(r);
    r->tiled = TIFFIsTiled(r->tiff);
    r->block_columns = r->width;
    r->block_rows = 1;
    if (r->tiled) {
        TIFFGetField(r->tiff, TIFFTAG_TILEWIDTH, &r->block_columns);
        TIFFGetField(r->tiff, TIFFTAG_TILELENGTH, &r->block_rows);
    } else {
        TIFFGetFieldDefaulted(r->tiff, TIFFTAG_ROWSPERSTRIP, &r->block_rows);
        if (r->block_rows > r->height) r->block_rows = r->height;
    }
    if (r->block_rows < 1 || r->block_columns < 1)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: TIFF: strips or tiles of no size", r->name);
    return CN_OK;
}

/* ---- Samples */

static double float_at(const uint8_t *at, uint16_t bits)
{
    uint16_t half;
    float single;
    double twice;
    switch (bits) {
    case 16: memcpy(&half, at, sizeof half); return cn_half_value(half);
    case 32: memcpy(&single, at, sizeof single); return (double)single;
    default: memcpy(&twice, at, sizeof twice); return twice;
    }
}

/* The number of less than 16 bits that begins with bit `at`, counted from the highest of a byte. */
static uint32_t packed_at(const uint8_t *row, size_t at, unsigned bits)
{
    uint32_t value = 0;
    for (size_t end = at + bits; at < end; at++)
        value = value << 1 | ((unsigned)row[at / 8] >> (7 - at % 8) & 1u);
    return value;
}

/* Whole number i of a row, counted from the least of its type. */
static uint32_t whole_at(const reader *r, const uint8_t *row, size_t i)
{
    uint16_t half;
    uint32_t word;
    bool sign = r->format == SAMPLEFORMAT_INT;
    switch (r->bits) {
    case 8: return sign ? row[i] ^ 0x80u : row[i];
    case 16: memcpy(&half, row + 2 * i, sizeof half); return sign ? half ^ 0x8000u : half;
    case 32: memcpy(&word, row + 4 * i, sizeof word); return sign ? word ^ 0x80000000u : word;
    default: return packed_at(row, i * r->bits, r->bits) ^ (sign ? 1u << (r->bits - 1) : 0);
    }
}

/* Sample i as a share of its type's range, or of that of the floats. */
static double share_at(const reader *r, const uint8_t *row, size_t i)
{
    double share = r->format == SAMPLEFORMAT_IEEEFP
                       ? (float_at(row + i * (r->bits / 8u), r->bits) - r->low) / (r->high - r->low)
                       : whole_at(r, row, i) / (double)(UINT32_MAX >> (32 - r->bits));
    return r->meaning == INVERTED ? 1 - share : share;
}

/* For masks: the number that is stored, negative ones and fractions among them. */
static double index_at(const reader *r, const uint8_t *row, size_t i)
{
    if (r->format == SAMPLEFORMAT_IEEEFP) return float_at(row + i * (r->bits / 8u), r->bits);
    double least = r->format == SAMPLEFORMAT_INT ? -ldexp(1, r->bits - 1) : 0;
    return whole_at(r, row, i) + least;
}

/* Value `at` of the image = a share. A mask's index is none, but of 65535 where it is deep. */
static void put_share(const reader *r, size_t at, double share)
{
    if (r->image.dtype == CN_DTYPE_F32)
        ((float *)r->image.data)[at] = (float)share;
    else
        ((uint8_t *)r->image.data)[at] = (uint8_t)(share <= 0   ? 0
                                                   : share >= 1 ? 255
                                                                : share * 255 + 0.5);
}

static cn_status put_index(const reader *r, size_t at, double index, cn_error *err)
{
    if (!(index >= 0 && index <= 255 && index == floor(index)))
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: a mask with a value of %g, expected a class of 0 to 255", r->name,
                       index);
    ((uint8_t *)r->image.data)[at] = (uint8_t)index;
    return CN_OK;
}

/* Old writers fill the palette with bytes. */
static unsigned palette_shift(const reader *r)
{
    size_t colors = (size_t)1 << r->bits;
    for (int c = 0; c < 3; c++)
        for (size_t i = 0; i < colors; i++)
            if (r->palette[c][i] > 255) return 8;
    return 0;
}

/* A row of pixels with all their samples, from the image's value `at` on. */
static cn_status put_pixels(const reader *r, const uint8_t *row, size_t count, size_t at,
                            unsigned shift, cn_error *err)
{
    size_t samples = r->samples;
    cn_status status = CN_OK;
    for (size_t x = 0; x < count; x++, at += (size_t)r->channels) {
        if (r->depth == CN_IMAGE_INDICES && r->meaning != INKS) {
            for (size_t c = 0; status == CN_OK && c < samples; c++)
                status = put_index(r, at + c, index_at(r, row, x * samples + c), err);
            if (status != CN_OK) return status;
        } else if (r->meaning == PALETTE) {
            uint32_t color = whole_at(r, row, x);
            for (size_t c = 0; c < 3; c++)
                ((uint8_t *)r->image.data)[at + c] = (uint8_t)(r->palette[c][color] >> shift);
        } else if (r->meaning == INKS) {
            double key = 1 - share_at(r, row, x * samples + 3);
            for (size_t c = 0; c < 3; c++)
                put_share(r, at + c, (1 - share_at(r, row, x * samples + c)) * key);
        } else {
            for (size_t c = 0; c < samples; c++)
                put_share(r, at + c, share_at(r, row, x * samples + c));
        }
    }
    return CN_OK;
}

/* A row of one of the channels. */
static cn_status put_channel(const reader *r, const uint8_t *row, size_t count, size_t at,
                             cn_error *err)
{
    cn_status status = CN_OK;
    for (size_t x = 0; status == CN_OK && x < count; x++, at += (size_t)r->channels)
        if (r->depth == CN_IMAGE_INDICES)
            status = put_index(r, at, index_at(r, row, x), err);
        else
            put_share(r, at, share_at(r, row, x));
    return status;
}

/* ---- Strips and tiles */

/* A block of the image from a row and a column on, in `bytes`. */
static cn_status put_block(const reader *r, const uint8_t *bytes, size_t row_bytes, uint32_t top,
                           uint32_t left, size_t sample, unsigned shift, cn_error *err)
{
    uint32_t rows = r->height - top < r->block_rows ? r->height - top : r->block_rows;
    uint32_t columns = r->width - left < r->block_columns ? r->width - left : r->block_columns;
    bool separate = r->planar == PLANARCONFIG_SEPARATE && r->samples > 1;
    cn_status status = CN_OK;
    for (uint32_t y = 0; status == CN_OK && y < rows; y++) {
        size_t at = ((size_t)(top + y) * r->width + left) * (size_t)r->channels;
        const uint8_t *row = bytes + y * row_bytes;
        status = separate ? put_channel(r, row, columns, at + sample, err)
                          : put_pixels(r, row, columns, at, shift, err);
    }
    return status;
}

/* The bytes that a block of these rows has to have. */
static tmsize_t block_bytes(const reader *r, uint32_t top, size_t row_bytes)
{
    uint32_t rows = r->tiled || r->height - top > r->block_rows ? r->block_rows : r->height - top;
    return (tmsize_t)(rows * row_bytes);
}

static cn_status read_block(reader *r, uint8_t *bytes, tmsize_t room, size_t row_bytes,
                            uint32_t top, uint32_t left, uint16_t sample, cn_error *err)
{
    tmsize_t expected = block_bytes(r, top, row_bytes), got;
    if (r->tiled)
        got = TIFFReadEncodedTile(r->tiff, TIFFComputeTile(r->tiff, left, top, 0, sample), bytes,
                                  room);
    else
        got = TIFFReadEncodedStrip(r->tiff, TIFFComputeStrip(r->tiff, top, sample), bytes, room);
    if (got < 0) return failed(r, err);
    if (got < expected)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: TIFF: row %u: expected %lld bytes, found %lld",
                       r->name, (unsigned)top, (long long)expected, (long long)got);
    return CN_OK;
}

static cn_status read_blocks(reader *r, cn_error *err)
{
    bool separate = r->planar == PLANARCONFIG_SEPARATE && r->samples > 1;
    unsigned shift = r->meaning == PALETTE ? palette_shift(r) : 0;
    tmsize_t room = r->tiled ? TIFFTileSize(r->tiff) : TIFFStripSize(r->tiff);
    tmsize_t row = r->tiled ? TIFFTileRowSize(r->tiff) : TIFFScanlineSize(r->tiff);
    size_t row_samples = (size_t)r->block_columns * (separate ? 1 : r->samples);
    /* libtiff counts the same way, but for what it does not read as we do. */
    if (room < 1 || row < 1 || (size_t)row != (row_samples * r->bits + 7) / 8 ||
        room < block_bytes(r, 0, (size_t)row))
        return failed(r, err);
    uint8_t *bytes = cn_allocate((size_t)room, 1, r->name, err);
    if (!bytes) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    const uint16_t planes = separate ? r->samples : 1;
    for (uint16_t sample = 0; sample < planes; sample++)
        for (uint32_t top = 0; top < r->height; top += r->block_rows)
            for (uint32_t left = 0; status == CN_OK && left < r->width; left += r->block_columns) {
                status = read_block(r, bytes, room, (size_t)row, top, left, sample, err);
                if (status == CN_OK)
                    status = put_block(r, bytes, (size_t)row, top, left, sample, shift, err);
            }
    cn_release(bytes);
    return status;
}

/* ---- The image */

/* A file that is not packed holds its bits. Packed, a plane of one color takes a few bytes, whatever
 * its size; more than that has to be paid for. */
static size_t most_pixels(const reader *r)
{
    const size_t free_of_charge = (size_t)1 << 24, per_byte = 4096;
    size_t size = (size_t)r->size;
    if (size > CN_IMAGE_PIXELS) return SIZE_MAX;
    if (r->compression == COMPRESSION_NONE) return size * 8 / ((size_t)r->bits * r->samples);
    return free_of_charge + size * per_byte;
}

/* Tiles at the edges go beyond the image: neither memory nor time is spent on much more than it. */
static cn_status check_blocks(const reader *r, cn_error *err)
{
    uint64_t rows = ((uint64_t)r->height + r->block_rows - 1) / r->block_rows * r->block_rows;
    uint64_t columns =
        ((uint64_t)r->width + r->block_columns - 1) / r->block_columns * r->block_columns;
    size_t most = most_pixels(r) / 4 < CN_IMAGE_PIXELS ? 4 * most_pixels(r) : 4 * CN_IMAGE_PIXELS;
    if (rows <= most / columns) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: TIFF: an image of %u x %u in tiles of %u x %u, in a file that can hold "
                   "%zu pixels",
                   r->name, (unsigned)r->height, (unsigned)r->width, (unsigned)r->block_rows,
                   (unsigned)r->block_columns, most_pixels(r));
}

/* Whether floats are of their range, give or take what resizing overshoots by. */
static double float_of(const reader *r, double share)
{
    return r->low + (r->meaning == INVERTED ? 1 - share : share) * (r->high - r->low);
}

static cn_status check_range(const reader *r, cn_error *err)
{
    const float *x = r->image.data;
    size_t count = cn_tensor_count(&r->image);
    if (r->format != SAMPLEFORMAT_IEEEFP || r->image.dtype != CN_DTYPE_F32) return CN_OK;
    for (size_t i = 0; i < count; i++)
        if (!(x[i] >= -0.05f && x[i] <= 1.1f))
            return cn_fail(err, CN_ERR_UNSUPPORTED,
                           "%.120s: TIFF: a float of %g, expected %g to %g, black to white; "
                           "range=LOW..HIGH says otherwise",
                           r->name, float_of(r, (double)x[i]), r->low, r->high);
    return CN_OK;
}

/* Color that was multiplied by alpha is divided again. */
static void divide_by_alpha(const reader *r)
{
    size_t channels = (size_t)r->channels, count = cn_tensor_count(&r->image);
    bool bytes = r->image.dtype == CN_DTYPE_U8;
    double opaque = bytes ? 255 : 1;
    for (size_t at = 0; at < count; at += channels) {
        uint8_t *b = bytes ? (uint8_t *)r->image.data + at : NULL;
        float *f = bytes ? NULL : (float *)r->image.data + at;
        double alpha = bytes ? b[channels - 1] : (double)f[channels - 1];
        for (size_t c = 0; alpha > 0 && c + 1 < channels; c++) {
            double value = (bytes ? b[c] : (double)f[c]) * opaque / alpha;
            if (value > opaque) value = opaque;
            if (bytes)
                b[c] = (uint8_t)(value + 0.5);
            else
                f[c] = (float)value;
        }
    }
}

/* Bytes are checked as floats, too, where the file has these. */
static cn_dtype dtype_of(const reader *r)
{
    bool kept = r->depth == CN_IMAGE_AS_STORED && r->bits > 8 && r->meaning != PALETTE;
    return kept || (r->format == SAMPLEFORMAT_IEEEFP && r->depth != CN_IMAGE_INDICES) ? CN_DTYPE_F32
                                                                                      : CN_DTYPE_U8;
}

static cn_status to_bytes(reader *r, cn_error *err)
{
    cn_tensor floats = r->image;
    if (floats.dtype == CN_DTYPE_U8 || r->depth != CN_IMAGE_BYTES) return CN_OK;
    r->image = (cn_tensor){0};
    cn_status status = cn_tensor_create(&r->image, CN_DTYPE_U8, 3, floats.shape, err);
    for (size_t i = 0; status == CN_OK && i < cn_tensor_count(&floats); i++)
        put_share(r, i, (double)((const float *)floats.data)[i]);
    cn_tensor_free(&floats);
    return status;
}

static cn_status read_image(reader *r, cn_error *err)
{
    cn_status status = open_tiff(r, err);
    if (status == CN_OK) status = read_directory(r, err);
    if (status != CN_OK) return status;
    status = cn_image_create(&r->image, r->name, dtype_of(r), r->height, r->width, r->channels,
                             most_pixels(r), err);
    if (status == CN_OK) status = check_blocks(r, err);
    if (status == CN_OK) status = read_blocks(r, err);
    if (status == CN_OK) status = check_range(r, err);
    if (status != CN_OK) return status;
    if (r->premultiplied && r->depth != CN_IMAGE_INDICES) divide_by_alpha(r);
    status = to_bytes(r, err);
    return status == CN_OK ? cn_image_orient(&r->image, r->orientation, r->name, err) : status;
}

static cn_status decode_range(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                              cn_image_depth depth, double low, double high, cn_error *err)
{
    reader r = {
        .name = name, .bytes = bytes, .size = size, .depth = depth, .low = low, .high = high};
    cn_status status = read_image(&r, err);
    if (r.tiff) TIFFClose(r.tiff);
    if (status == CN_OK)
        *image = r.image;
    else
        cn_tensor_free(&r.image);
    return status;
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    return decode_range(image, name, bytes, size, depth, 0, 1, err);
}

/* Of floats the options say the range. */
static cn_status decode_for(cn_tensor *image, cn_image_view *view, const char *name,
                            const uint8_t *bytes, size_t size, const cn_image_aim *aim,
                            cn_error *err)
{
    const cn_image_opts *o = aim->opts;
    bool ranged = o->float_low < o->float_high;
    cn_status status =
        decode_range(image, name, bytes, size, o->deep ? CN_IMAGE_AS_STORED : CN_IMAGE_BYTES,
                     ranged ? o->float_low : 0, ranged ? o->float_high : 1, err);
    if (status == CN_OK) *view = cn_image_view_of(image->shape[0], image->shape[1], aim);
    return status;
}

/* The directory may lie anywhere in the file. */
static bool find_form(cn_image_form *form, const char *path)
{
    struct stat about;
    int file = -1;
    if (cn_file_open(&file, &about, path, NULL) != CN_OK) return false;
    reader r = {.name = path, .file = fdopen(file, "rb")};
    off_t end = -1;
    if (!r.file) close(file);
    if (r.file && fseeko(r.file, 0, SEEK_END) == 0) end = ftello(r.file);
    bool found = false;
    if (end > 0 && fseeko(r.file, 0, SEEK_SET) == 0) {
        r.size = (uint64_t)end;
        found = open_tiff(&r, NULL) == CN_OK && read_directory(&r, NULL) == CN_OK;
    }
    if (found) {
        bool turned = r.orientation >= 5;
        *form = (cn_image_form){.color = r.channels >= 3,
                                .deep = r.bits > 8 && r.meaning != PALETTE,
                                .floats = r.format == SAMPLEFORMAT_IEEEFP,
                                .channels = r.own ? r.channels : 0,
                                .rows = cn_image_extent(turned ? r.width : r.height),
                                .columns = cn_image_extent(turned ? r.height : r.width)};
    }
    if (r.tiff) TIFFClose(r.tiff);
    if (r.file) fclose(r.file);
    return found;
}

#endif

const cn_image_format cn_image_tiff = {
    .name = "TIFF",
    .library = "libtiff 4.5 or later (CONVNET_TIFF)",
    .detects = detects,
#ifdef CONVNET_HAVE_TIFF
    .decode = decode,
    .decode_for = decode_for,
    .find_form = find_form,
#endif
};
