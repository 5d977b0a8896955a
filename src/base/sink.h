/* sink.h - writes a file so that a reader sees the old one or the new one, never a part. */
#ifndef CN_SINK_H
#define CN_SINK_H

#include "base/base.h"

/*
 * The bytes go to a temporary file in the same folder, which takes the place of the old file when
 * all of them are on the disk:
 *
 *     cn_sink_open, cn_sink_write ..., cn_sink_commit, cn_sink_close
 *
 * cn_sink_close without a commit removes the temporary file; the old file is untouched. What an
 * earlier save to this path left behind when it was killed is removed, too. A symbolic link is
 * followed; one that leads nowhere is refused, and so is what is not a plain file.
 */
typedef struct cn_sink cn_sink;

cn_status cn_sink_open(cn_sink **sink, const char *path, cn_error *err);
cn_status cn_sink_write(cn_sink *sink, const void *bytes, size_t size, cn_error *err);
cn_status cn_sink_commit(cn_sink *sink, cn_error *err);
void cn_sink_close(cn_sink *sink);

#endif
