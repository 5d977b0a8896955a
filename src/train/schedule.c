/* schedule.c - the learning rate as a function of the step. */
#include "train/train.h"

#include <math.h>

/*
 * Cosine (Loshchilov and Hutter 2017, without restarts): with t = step / steps,
 *     rate(t) = rate (1 + cos(pi t)) / 2
 * starts at the rate given and comes close to zero at the last step.
 */
double cn_schedule_rate(cn_schedule schedule, double rate, int64_t step, int64_t steps)
{
    const double pi = 3.14159265358979323846;
    if (schedule == CN_SCHEDULE_CONSTANT) return rate;
    return 0.5 * rate * (1.0 + cos(pi * (double)step / (double)steps));
}
