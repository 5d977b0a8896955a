/* values.c - a data set's values and a model's, brought together. */
#include "train/train.h"

#include "data/dataset.h"
#include "model/model.h"

void cn_normalization_of(const cn_model *model, const cn_dataset *data, float *mean, float *std)
{
    double low, high;
    cn_dataset_range_for(data, &model->images, &low, &high);
    cn_model_normalization(model, low, high, mean, std);
}

cn_image_opts cn_learned_image_opts(const cn_model *model, const cn_dataset *data)
{
    cn_image_opts mine = model->images, theirs = cn_dataset_image_opts(data);
    bool first = mine.low == mine.high; /* else its normalization is of the range that it has */
    cn_image_opts opts = first || cn_dataset_is_of_files(data) ? theirs : mine;
    opts.low = first ? theirs.low : mine.low;
    opts.high = first ? theirs.high : mine.high;
    return opts;
}
