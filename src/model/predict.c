/* predict.c - any number of examples through a session, batch by batch. */
#include "base/pixels.h"
#include "model/nonfinite.h"
#include "model/session.h"

#include <string.h>

typedef struct predictor {
    cn_session *session;
    const cn_tensor *X;
    float *mean, *std; /* the model's normalization */
} predictor;

/* Examples from .. from+m-1 into the input buffer. */
static cn_tensor take_examples(const predictor *p, int from, int m)
{
    const cn_tensor *X = p->X;
    float *input = cn_session_input(p->session);

    size_t example = cn_tensor_count(X) / (size_t)X->shape[0];
    cn_tensor part = *X;
    part.shape[0] = m;
    part.data = (char *)X->data + (size_t)from * example * cn_dtype_size(X->dtype);
    if (X->dtype == CN_DTYPE_U8)
        cn_pixels_normalize(&part, 1.0F / 255, NULL, m, p->mean, p->std, input);
    else
        memcpy(input, part.data, (size_t)m * example * sizeof(float));
    return cn_tensor_view(CN_DTYPE_F32, 4, part.shape, input);
}

/* The outputs of examples from .. from+m-1 into y. */
static cn_status predict_batch(const predictor *p, int from, int m, size_t size, float *y,
                               cn_error *err)
{
    cn_session *s = p->session;
    cn_tensor x = take_examples(p, from, m);
    cn_status status = cn_session_forward(s, &x, err);
    if (status != CN_OK) return status;
    if (!cn_session_output_finite(s)) {
        take_examples(p, from, m); /* the forward may have overwritten them */
        return cn_session_not_finite(s, "predict", err);
    }
    memcpy(y + (size_t)from * size, cn_session_output(s).data, (size_t)m * size * sizeof *y);
    return CN_OK;
}

static cn_status check(const cn_session *s, const cn_tensor *X, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "predict: NULL session");
    cn_status status = cn_session_check_examples(s, X, "predict", err);
    if (status == CN_OK && X->dtype != CN_DTYPE_F32 && X->dtype != CN_DTYPE_U8)
        return cn_fail(err, CN_ERR_ARGUMENT, "predict: X has dtype %d, expected F32 or U8",
                       (int)X->dtype);
    return status;
}

cn_status cn_session_predict(cn_session *s, const cn_tensor *X, cn_tensor *Y, cn_error *err)
{
    cn_status status = check(s, X, err);
    if (status != CN_OK) return status;
    const cn_model *model = cn_session_model(s);
    int count = X->shape[0], size = cn_model_output_size(model), batch = cn_session_batch(s);
    predictor p = {.session = s, .X = X};
    cn_session_normalization(s, &p.mean, &p.std);

    bool given = Y && Y->data;
    status = cn_tensor_output(Y, CN_DTYPE_F32, 2, (int[]){count, size}, "predict: Y", err);
    for (int from = 0; status == CN_OK && from < count; from += batch) {
        int m = count - from < batch ? count - from : batch;
        status = predict_batch(&p, from, m, (size_t)size, Y->data, err);
    }
    if (status != CN_OK && !given && Y) cn_tensor_free(Y);
    return status;
}
