/*
 * mnist.c - LeNet-5 learns to read handwritten digits.
 *
 *   mnist DIR [EPOCHS]    DIR has the four MNIST files, plain or .gz; 5 epochs if not said
 *
 * Without arguments it learns the small digits that are built into the library.
 */
#include <convnet.h>

#include <stdio.h>
#include <stdlib.h>

/* Layer after layer: each call takes the node before and returns the next. */
static cn_status build(cn_model **model, const cn_dataset *data, cn_error *err)
{
    cn_status status = cn_model_create(model, cn_dataset_shape(data), err);
    if (status != CN_OK) return status;
    cn_model *m = *model;
    cn_node x = cn_input(m);
    x = cn_relu(
        m, cn_conv2d(m, x, &(cn_conv2d_opts){.filters = 6, .kernel = {5}, .pad = CN_PADDING_SAME}));
    x = cn_max_pool(m, x, &(cn_pool_opts){.size = {2}});
    x = cn_relu(
        m,
        cn_conv2d(m, x, &(cn_conv2d_opts){.filters = 16, .kernel = {5}, .pad = CN_PADDING_SAME}));
    x = cn_max_pool(m, x, &(cn_pool_opts){.size = {2}});
    x = cn_relu(m, cn_dense(m, x, &(cn_dense_opts){.units = 120}));
    x = cn_relu(m, cn_dense(m, x, &(cn_dense_opts){.units = 84}));
    x = cn_softmax(m, cn_dense(m, x, &(cn_dense_opts){.units = cn_dataset_classes(data)}));
    return cn_model_finish(m, x, 1, err); /* a mistake in any layer is reported here */
}

static bool show(const cn_progress *p, void *user)
{
    (void)user;
    if (p->epoch_end)
        printf("epoch %d: loss %.4f, accuracy %.2f %%, %.0f images/s\n", p->epoch, p->train_loss,
               100 * p->train_accuracy, p->images_per_second);
    return false; /* true would stop */
}

int main(int argc, char **argv)
{
    char spec[4096] = "digits";
    cn_dataset *train = NULL, *test = NULL;
    cn_model *model = NULL;
    cn_metrics metrics;
    cn_error err;
    float mean, std;
    int status = EXIT_FAILURE;
    cn_fit_opts opts = {.epochs = argc > 2 ? atoi(argv[2]) : 5, .seed = 1, .progress = show};

    if (argc > 1) snprintf(spec, sizeof spec, "mnist:%s", argv[1]);
    if (cn_dataset_load(&train, spec, CN_SUBSET_TRAIN, NULL, &err) != CN_OK) goto done;
    if (cn_dataset_load(&test, spec, CN_SUBSET_TEST, NULL, &err) != CN_OK) goto done;
    if (build(&model, train, &err) != CN_OK) goto done;
    cn_dataset_statistics(train, &mean, &std); /* gray images: one channel */
    if (cn_model_set_normalization(model, &mean, &std, &err) != CN_OK) goto done;
    if (cn_fit(model, train, &opts, NULL, &err) != CN_OK) goto done;
    if (cn_evaluate(model, test, NULL, &metrics, NULL, &err) != CN_OK) goto done;
    printf("test accuracy %.2f %%\n", 100 * metrics.accuracy);
    if (cn_model_save(model, "mnist.safetensors", &err) != CN_OK) goto done;
    status = EXIT_SUCCESS;
done:
    if (status != EXIT_SUCCESS) fprintf(stderr, "mnist: %s\n", err.text);
    cn_model_free(model);
    cn_dataset_free(train);
    cn_dataset_free(test);
    return status;
}
