/* optimizer.h - an optimizer's options and chunks. convnet.h has the formulas. */
#ifndef CN_OPTIMIZER_H
#define CN_OPTIMIZER_H

#include "backends/backend.h"
#include "model/model.h"

/* Fills defaults in and checks ranges. */
cn_status cn_optimizer_settle(cn_optimizer *o, cn_error *err);
/* The chunks for the model as its parameters are now frozen and scaled. */
cn_status cn_optimizer_plan(cn_update_plan *plan, const cn_model *model, const cn_optimizer *o,
                            cn_error *err);

#endif
