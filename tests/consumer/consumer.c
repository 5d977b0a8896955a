/* A user's program, in the words that C11 and C++11 share. */
#include <convnet.h>

#include <stdio.h>

int main(void)
{
    const int shape[2] = {2, 3};
    cn_tensor t;
    cn_error err;
    if (cn_tensor_create(&t, CN_DTYPE_F32, 2, shape, &err) != CN_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("convnet %s: %d elements\n", cn_version(), (int)cn_tensor_count(&t));
    cn_tensor_free(&t);
    return 0;
}
