/* images_form.h - what all images of a set become, before the first is decoded. */
#ifndef CN_IMAGES_FORM_H
#define CN_IMAGES_FORM_H

#include "data/images.h"

/* Images are worked on in blocks, so that an error or whoever waits ends it soon. */
enum { CN_IMAGE_BLOCK = 256 };
/* CN_ERR_STOPPED where whoever waits has had enough. */
cn_status cn_images_report(const cn_request *request, int done, int total, const char *what,
                           cn_error *err);

/* What all images of all parts become, from the options, the caller's wish, and the sizes and
 * samples of all. */
cn_status cn_images_find_form(int shape[3], cn_image_opts *form, const cn_image_set *set,
                              const cn_request *request, const char *what, cn_error *err);
/* More than this machine has would end in the process being killed. */
cn_status cn_images_check_memory(int count, const int shape[3], size_t element, const char *what,
                                 cn_error *err);

#endif
