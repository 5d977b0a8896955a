/* Any bytes as an image: an error, or an image that can be fitted to a model; and as Exif data,
 * which a checksum keeps most inputs out of where they lie in a PNG. */
#include <stdlib.h>

#include "formats/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cn_tensor image = {0}, fitted = {0};
    cn_error err = {CN_OK, ""};
    int orientation = cn_exif_orientation(bytes, size);
    if (orientation < 1 || orientation > 8) abort();
    cn_status status = cn_image_decode(&image, "input", bytes, size, CN_IMAGE_AS_STORED, &err);
    if (status != CN_OK && (image.data || err.status != status || !err.text[0])) abort();
    int channels = image.data && image.shape[2] > 4 ? image.shape[2] : 3;
    if (status == CN_OK &&
        cn_image_fit(&image, (int[]){5, 7, channels}, NULL, &fitted, &err) != CN_OK)
        abort();
    cn_tensor_free(&image);
    cn_tensor_free(&fitted);
    return 0;
}
