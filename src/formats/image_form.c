/*
 * image_form.c - the size of an image file, and whether it has color and more than 8 bits, from its
 * header alone.
 */
#include "base/source.h"
#include "formats/image.h"

int cn_image_extent(size_t n)
{
    return n <= CN_IMAGE_PIXELS ? (int)n : 0;
}

bool cn_image_read_head(const char *path, uint8_t *head, size_t room, size_t *size)
{
    cn_source *source = NULL;
    if (cn_source_open(&source, path, CN_SOURCE_PLAIN, NULL) != CN_OK) return false;
    cn_status status = cn_source_read_some(source, head, room, size, NULL);
    cn_source_close(source);
    return status == CN_OK;
}

bool cn_image_find_form(cn_image_form *form, const char *path)
{
    uint8_t head[CN_HEAD];
    size_t size = 0;
    if (!cn_image_read_head(path, head, sizeof head, &size)) return false;
    const cn_image_format *format = cn_image_format_of(head, size);
    if (!format || !format->find_form || !format->find_form(form, path)) return false;
    if (form->rows < 1 || form->columns < 1 ||
        (size_t)form->rows > CN_IMAGE_PIXELS / (size_t)form->columns)
        form->rows = form->columns = 0;
    return true;
}
