/*
 * signature.c - the table of first bytes.
 *
 * Readers know their own format; this is for the error that says what another file is.
 */
#include "base/signature.h"

#include <stdio.h>
#include <string.h>

#define AT(offset, bytes, name, kind)                              \
    {                                                              \
        bytes, sizeof bytes - 1, offset, name, CN_SIGNATURE_##kind \
    }
#define BEGINS(bytes, name) AT(0, bytes, name, OTHER)
#define IMAGE(bytes, name)  AT(0, bytes, name, IMAGE)

/* Longer signatures first: an ONNX model's is no more than a small number. Any bytes
 * may begin a safetensors file, whose header's length comes first, so it is known by what follows.
 */
static const cn_signature table[] = {
    AT(8, "{\"", "a safetensors file", MODEL),
    BEGINS("version https://git-lfs", "a Git LFS pointer, which \"git lfs pull\" replaces"),
    BEGINS("<!doctype html", "an HTML page"),
    BEGINS("<html", "an HTML page"),
    BEGINS("<?xml", "an XML file"),
    BEGINS("<svg", "an SVG image"),
    BEGINS("\x89HDF\r\n\x1a\n", "an HDF5 file"),
    BEGINS("\x93NUMPY", "a NumPy array (.npy)"),
    BEGINS("PK\x03\x04", "a ZIP archive, such as PyTorch's .pt and NumPy's .npz"),
    BEGINS("PK\x05\x06", "an empty ZIP archive"),
    BEGINS("\x1f\x8b", "packed with gzip"),
    BEGINS("\xfd"
           "7zXZ\0",
           "packed with xz"),
    BEGINS("BZh", "packed with bzip2"),
    BEGINS("\x28\xb5\x2f\xfd", "packed with zstd"),
    BEGINS("7z\xbc\xaf\x27\x1c", "a 7z archive"),
    BEGINS("Rar!", "a RAR archive"),
    BEGINS("\x80\x02", "a Python pickle, such as an old PyTorch's .pt"),
    BEGINS("\x80\x03", "a Python pickle"),
    BEGINS("\x80\x04", "a Python pickle"),
    BEGINS("\x80\x05", "a Python pickle"),
    BEGINS("GGUF", "a GGUF model"),
    AT(4, "TFL3", "a TensorFlow Lite model", OTHER),
    IMAGE("\x89PNG\r\n\x1a\n", "a PNG image"),
    IMAGE("\xff\xd8\xff", "a JPEG image"),
    IMAGE("GIF8", "a GIF image"),
    IMAGE("BM....\0\0\0\0", "a BMP image"),
    IMAGE("RIFF....WEBP", "a WebP image"),
    IMAGE("II*\0", "a TIFF image"),
    IMAGE("MM\0*", "a TIFF image"),
    IMAGE("II+\0", "a TIFF image"),
    IMAGE("MM\0+", "a TIFF image"),
    AT(4, "ftypavif", "an AVIF image", IMAGE),
    AT(4, "ftyphei", "a HEIC image", IMAGE),
    AT(4, "ftypmif1", "a HEIC image", IMAGE),
    AT(4, "ftyp", "an MPEG-4 video", OTHER),
    IMAGE("\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    IMAGE("8BPS", "a Photoshop document"),
    AT(128, "DICM", "a DICOM file", OTHER),
    IMAGE("P1_", "a PNM image"),
    IMAGE("P2_", "a PNM image"),
    IMAGE("P3_", "a PNM image"),
    IMAGE("P4_", "a PNM image"),
    IMAGE("P5_", "a PNM image"),
    IMAGE("P6_", "a PNM image"),
    IMAGE("P7\n", "a PAM image"),
    BEGINS("%PDF-", "a PDF document"),
    BEGINS("\x7f"
           "ELF",
           "a program"),
    BEGINS("#!", "a script"),
    BEGINS("{\"", "a JSON file"),
    BEGINS("{\n", "a JSON file"),
    BEGINS("\x08.\x12", "an ONNX model"),
    BEGINS("\x08.\x3a", "an ONNX model"),
};

/* Letters count without their case: <!DOCTYPE is <!doctype. */
static bool matches(const cn_signature *s, const uint8_t *bytes, size_t size)
{
    if (size < s->offset + s->length) return false;
    for (size_t i = 0; i < s->length; i++) {
        char wanted = s->bytes[i], found = (char)bytes[s->offset + i];
        bool space = found == ' ' || found == '\n' || found == '\r' || found == '\t';
        if (wanted == '.' || (wanted == '_' && space)) continue;
        if (s->bytes[0] == '<' ? cn_lower(found) != wanted : found != wanted) return false;
    }
    return true;
}

const cn_signature *cn_signature_find(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (matches(&table[i], bytes, size)) return &table[i];
    return NULL;
}

const cn_signature *cn_signature_of_file(const char *path)
{
    uint8_t head[CN_HEAD];
    cn_source *source = NULL;
    struct stat about;
    size_t size = 0;
    /* What is read of a pipe here would be missing afterwards. */
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) return NULL;
    if (cn_source_open(&source, path, CN_SOURCE_PLAIN, NULL) != CN_OK) return NULL;
    cn_status status = cn_source_read_some(source, head, sizeof head, &size, NULL);
    cn_source_close(source);
    return status == CN_OK ? cn_signature_find(head, size) : NULL;
}

const char *cn_bytes_found(const uint8_t *bytes, size_t size, char text[CN_FOUND_TEXT])
{
    const cn_signature *known = cn_signature_find(bytes, size);
    if (known || size == 0) {
        snprintf(text, CN_FOUND_TEXT, "%s", known ? known->name : "an empty file");
        return text;
    }
    for (int i = 0, used = 0; i < 4 && i < (int)size; i++)
        used +=
            snprintf(text + used, (size_t)(CN_FOUND_TEXT - used), i ? " %02x" : "%02x", bytes[i]);
    return text;
}

const char *cn_source_found(cn_source *source, const uint8_t *head, size_t size,
                            char text[CN_FOUND_TEXT])
{
    uint8_t bytes[CN_HEAD];
    size_t got = 0;
    if (size > sizeof bytes) size = sizeof bytes;
    memcpy(bytes, head, size);
    cn_source_read_some(source, bytes + size, sizeof bytes - size, &got, NULL);
    return cn_bytes_found(bytes, size + got, text);
}
