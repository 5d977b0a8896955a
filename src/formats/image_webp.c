/*
 * image_webp.c - WebP (RFC 9649) through libwebp and its demuxer, with limits set before decoding.
 *
 *   byte   size   what
 *   0      4      "RIFF", 4 the file's size - 8, little-endian as all that follows, and "WEBP"
 *   12     4      the first chunk's name, 4 its size; chunks are filled up to an even size
 *                 "VP8 ": 14 bits of width at byte 26, of height at byte 28
 *                 "VP8L": width - 1, height - 1, 14 bits each, from byte 21 on
 *                 "VP8X": flags at byte 20 (8: there is a chunk "EXIF"), 24 bits each of width - 1
 *                 at byte 24, height - 1 at byte 27
 *
 * Of an animation the first frame counts, on a canvas that is transparent beside it. There is no
 * gray in WebP: three channels, or four where there is alpha.
 */
#include "base/source.h"
#include "formats/image.h"

#include <string.h>

static bool detects(const uint8_t *bytes, size_t size)
{
    return size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

/* What Exif says that may begin as it does in a JPEG. */
static int orientation_of(const uint8_t *exif, size_t size)
{
    static const uint8_t mark[6] = {'E', 'x', 'i', 'f', 0, 0};
    bool marked = size >= sizeof mark && memcmp(exif, mark, sizeof mark) == 0;
    return marked ? cn_exif_orientation(exif + sizeof mark, size - sizeof mark)
                  : cn_exif_orientation(exif, size);
}

/* ---- The header */

static size_t number_at(const uint8_t *bytes, int width)
{
    size_t value = 0;
    while (width-- > 0) value = value << 8 | bytes[width];
    return value;
}

/* The size that the first chunk, 30 bytes from the file's beginning on, tells. */
static bool read_size(const uint8_t head[30], size_t *width, size_t *height)
{
    enum { MOST = 0x3fff };
    if (memcmp(head + 12, "VP8X", 4) == 0) {
        *width = number_at(head + 24, 3) + 1;
        *height = number_at(head + 27, 3) + 1;
    } else if (memcmp(head + 12, "VP8L", 4) == 0) {
        size_t bits = number_at(head + 21, 4);
        *width = (bits & MOST) + 1;
        *height = (bits >> 14 & MOST) + 1;
    } else {
        *width = number_at(head + 26, 2) & MOST;
        *height = number_at(head + 28, 2) & MOST;
        return memcmp(head + 12, "VP8 ", 4) == 0;
    }
    return true;
}

/* The orientation that the chunk "EXIF" tells, which stands behind the pixels. The source is behind
 * the first 30 bytes, which are the chunk "VP8X". */
static int find_orientation(cn_source *source)
{
    enum { MOST = 1 << 20 };
    uint8_t chunk[8];
    while (cn_source_read(source, chunk, sizeof chunk, "chunk", NULL) == CN_OK) {
        size_t size = number_at(chunk + 4, 4);
        if (memcmp(chunk, "EXIF", 4) != 0) {
            if (!cn_source_skip(source, size + size % 2)) return 1;
            continue;
        }
        uint8_t *exif = size <= MOST ? cn_allocate(size + 1, 1, "header", NULL) : NULL;
        bool read = exif && cn_source_read(source, exif, size, "chunk", NULL) == CN_OK;
        int orientation = read ? orientation_of(exif, size) : 1;
        cn_release(exif);
        return orientation;
    }
    return 1;
}

static bool find_form(cn_image_form *form, const char *path)
{
    enum { HAS_EXIF = 8 };
    uint8_t head[30];
    size_t width, height;
    cn_source *source = NULL;
    if (cn_source_open(&source, path, CN_SOURCE_PLAIN, NULL) != CN_OK) return false;
    bool found = cn_source_read(source, head, sizeof head, "header", NULL) == CN_OK &&
                 read_size(head, &width, &height);
    bool extended = found && memcmp(head + 12, "VP8X", 4) == 0 && (head[20] & HAS_EXIF);
    if (found) {
        bool turned = extended && find_orientation(source) >= 5;
        *form = (cn_image_form){.color = true,
                                .rows = cn_image_extent(turned ? width : height),
                                .columns = cn_image_extent(turned ? height : width)};
    }
    cn_source_close(source);
    return found;
}

#ifdef CONVNET_HAVE_WEBP

#include <webp/decode.h>
#include <webp/demux.h>

static const char *status_text(VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY: return "no memory";
    case VP8_STATUS_BITSTREAM_ERROR: return "damaged pixels";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "a feature that libwebp does not know";
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the file is cut short";
    default: return "it cannot be decoded";
    }
}

static cn_status failed(const char *name, const char *text, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: WebP: %s", name, text);
}

/* A plane of one color takes a few bytes, whatever its size; more than that has to be paid for. */
static size_t most_pixels(size_t size)
{
    const size_t free_of_charge = (size_t)1 << 24, per_byte = 2048;
    return size > CN_IMAGE_PIXELS / per_byte ? SIZE_MAX : free_of_charge + size * per_byte;
}

/* The first frame into its place on the canvas, whose pixels are zeros. */
static cn_status read_frame(cn_tensor *image, const char *name, const WebPIterator *frame,
                            WebPDecoderConfig *config, cn_error *err)
{
    size_t channels = (size_t)image->shape[2], stride = (size_t)image->shape[1] * channels;
    size_t first = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * channels;
    if (frame->x_offset + config->input.width > image->shape[1] ||
        frame->y_offset + config->input.height > image->shape[0])
        return failed(name, "a frame beyond the image", err);
    config->output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA.rgba = (uint8_t *)image->data + first;
    config->output.u.RGBA.stride = (int)stride;
    config->output.u.RGBA.size = cn_tensor_count(image) - first;
    VP8StatusCode code = WebPDecode(frame->fragment.bytes, frame->fragment.size, config);
    WebPFreeDecBuffer(&config->output);
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory to read a WebP", name);
    return code == VP8_STATUS_OK ? CN_OK : failed(name, status_text(code), err);
}

static int stored_orientation(const WebPDemuxer *demuxer)
{
    WebPChunkIterator chunk;
    int orientation = 1;
    if (!WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) return 1;
    orientation = orientation_of(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
    return orientation;
}

static cn_status read_image(cn_tensor *image, const char *name, const WebPDemuxer *demuxer,
                            const WebPIterator *frame, size_t size, bool indices, cn_error *err)
{
    enum { LOSSY = 1 };
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return failed(name, "another version of libwebp", err);
    VP8StatusCode code =
        WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &config.input);
    if (code != VP8_STATUS_OK) return failed(name, status_text(code), err);
    if (indices && config.input.format == LOSSY)
        return cn_image_refuse_lossy(name, "lossy WebP", err);
    size_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH);
    size_t height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
    bool whole = (size_t)config.input.width == width && (size_t)config.input.height == height;
    bool alpha = config.input.has_alpha || !whole;
    cn_status status = cn_image_create(image, name, CN_DTYPE_U8, height, width, alpha ? 4 : 3,
                                       most_pixels(size), err);
    if (status == CN_OK) status = read_frame(image, name, frame, &config, err);
    if (status == CN_OK) status = cn_image_orient(image, stored_orientation(demuxer), name, err);
    return status;
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    const WebPData data = {bytes, size};
    WebPIterator frame;
    cn_tensor t = {0};
    WebPDemuxer *demuxer = WebPDemux(&data);
    if (!demuxer) return failed(name, "damaged, or cut short", err);
    cn_status status;
    if (WebPDemuxGetFrame(demuxer, 1, &frame)) {
        status = read_image(&t, name, demuxer, &frame, size, depth == CN_IMAGE_INDICES, err);
        WebPDemuxReleaseIterator(&frame);
    } else {
        status = failed(name, "no image in the file", err);
    }
    WebPDemuxDelete(demuxer);
    if (status == CN_OK)
        *image = t;
    else
        cn_tensor_free(&t);
    return status;
}

#endif

const cn_image_format cn_image_webp = {
    .name = "WebP",
    .library = "libwebp (CONVNET_WEBP)",
    .detects = detects,
    .find_form = find_form,
#ifdef CONVNET_HAVE_WEBP
    .decode = decode,
#endif
};
