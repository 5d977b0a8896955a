/* nonfinite.h - numbers that are not finite. */
#ifndef CN_TROUBLE_H
#define CN_TROUBLE_H

#include "model/model.h"

/* The first parameter that holds such a number; false where all are finite. */
bool cn_model_find_nonfinite(const cn_model *model, cn_nonfinite *nonfinite);

/* CN_ERR_DIVERGED that names the first parameter, or else the first layer's output, that is not
 * finite. The session's last forward gave such an output; its input buffer holds the examples
 * again, which other values may have overwritten. `what` names the caller. */
cn_status cn_session_not_finite(cn_session *session, const char *what, cn_error *err);

#endif
