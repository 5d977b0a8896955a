/*
 * bias_template.h - a bias by itself, after a transposed convolution.
 */

static void bias(size_t rows, int columns, const float *b, cn_activation activation, float *y)
{
    for (size_t r = 0; r < rows; r++, y += columns) {
        int j = 0;
        for (; j + LANES <= columns; j += LANES) {
            vf sum = load(y + j);
            if (b) sum += load(b + j);
            if (activation.kind) sum = activate_lanes(sum, activation);
            store(y + j, sum);
        }
        for (; j < columns; j++) {
            const float sum = b ? y[j] + b[j] : y[j];
            y[j] = activation.kind ? activate1(sum, activation) : sum;
        }
    }
}

static void bias_backward(size_t rows, int columns, const float *dy, float *db)
{
    add_columns(rows, columns, dy, db);
}
